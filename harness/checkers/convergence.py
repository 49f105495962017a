"""Last write wins: a register ends with the acknowledged write of the greatest time stamp and node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.checkers import story
from harness.checkers.findings import Findings, missing_final
from harness.checkers.frozen import freeze
from harness.history import History
from harness.interfaces.checker import Checker
from harness.operation import Operation
from harness.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """A value of the register ``key`` under the stamp (``timestamp``, ``node``), which is compared in that order."""

    key: Hashable
    timestamp: Any
    node: Any
    value: Any = None

    @property
    def stamp(self) -> tuple[Any, Any]:
        """What decides which of two writes wins."""
        return (self.timestamp, self.node)


@dataclass(slots=True)
class _Register:
    acknowledged: list[tuple[Stamped, Operation]] = field(default_factory=list)
    indeterminate: list[tuple[Stamped, Operation]] = field(default_factory=list)
    denied: list[tuple[Stamped, Operation]] = field(default_factory=list)

    def winner(self) -> tuple[Stamped, Operation] | None:
        return max(self.acknowledged, key=lambda pair: pair[0].stamp, default=None)


def last_write_wins(
    *,
    write: Callable[[Operation], Stamped | None],
    final: Callable[[Mapping[str, Any]], Mapping[Any, Stamped]],
    needs_final: tuple[str, ...] = (),
    read: Callable[[Operation], Stamped | None] = lambda _: None,
    initial: Callable[[Any], Stamped | None] = lambda _: None,
    name: str = "last-write-wins",
    guarantee: str = "The register ends with the value of the greatest time stamp and node.",
) -> Checker:
    """Return the checker for a register in which the greatest (timestamp, node) wins.

    ``write(operation)`` gives what an operation wrote or meant to write, whatever came of it; ``final(final)`` the
    content of each register at the end; ``initial(key)`` what it held before the load. An acknowledged write may have
    lost against a greater stamp; one of unknown outcome may have won or not. Where ``read`` is given, no process may
    see a register go back: it must be given only where that was promised.

    Anomalies: ``lower-write-won``, ``lost-write`` (the register is empty), ``phantom-write``,
    ``rejected-yet-applied``, ``failed-yet-applied``, ``went-back``. ``unknown`` where no write was acknowledged.

    Example::

        last_write_wins(
            write=lambda operation: Stamped(key=operation.arguments["key"], timestamp=operation.arguments["at"],
                node=operation.arguments["node"], value=operation.arguments["value"]),
            final=lambda final: {d["_id"]: Stamped(key=d["_id"], timestamp=d["timestamp"], node=d["nodeId"],
                value=d["value"]) for d in final["registers"]},
            needs_final=("registers",),
        )
    """

    def check(history: History) -> Verdict:
        findings = Findings(history, guarantee)
        registers = _registers(history, write)
        _find_regressions(read, findings)
        reason = missing_final(history, needs_final)
        content = {} if reason else {freeze(key): value for key, value in final(history.final).items()}
        if not reason:
            for key in {**registers, **content}:
                _judge(key, registers.get(key, _Register()), content.get(key), initial(key), findings)
        acknowledged = sum(len(register.acknowledged) for register in registers.values())
        return findings.conclude(
            name,
            operations=sum(len(r.acknowledged) + len(r.indeterminate) + len(r.denied) for r in registers.values()),
            unknown=reason or ("" if acknowledged else "no write was acknowledged: there is nothing to judge"),
            certificate={"registers": len(content), "acknowledged": acknowledged},
            model_broken="convergence to the last write",
        )

    return Checker(name=name, guarantee=guarantee, check=check, needs_final=needs_final, ignores_real_time=True)


def _registers(history: History, write: Callable[[Operation], Stamped | None]) -> dict[Hashable, _Register]:
    registers: defaultdict[Hashable, _Register] = defaultdict(_Register)
    for operation in history.operations:
        written = write(operation)
        if written is None:
            continue
        register = registers[freeze(written.key)]
        if operation.outcome == "rejected" or operation.status == "fail":
            register.denied.append((written, operation))
        elif operation.status == "ok":
            register.acknowledged.append((written, operation))
        else:
            register.indeterminate.append((written, operation))
    return dict(registers)


def _same(one: Stamped, other: Stamped) -> bool:
    return one.stamp == other.stamp and freeze(one.value) == freeze(other.value)


def _judge(key: Hashable, register: _Register, end: Stamped | None, begin: Stamped | None, findings: Findings) -> None:
    winner = register.winner()
    floor = winner[0] if winner else None
    if begin is not None and (floor is None or begin.stamp > floor.stamp):
        floor = begin
    if end is None:
        if floor is not None:
            _note("lost-write", key, winner, f"At the end register {story.short(key)} is empty.", findings)
        return
    kind, author = _origin(register, end, begin)
    text = f"At the end register {story.short(key)} holds {story.short(end.value)} of {end.stamp}"
    if kind:
        _note(kind, key, author, f"{text}, which no write may have left.", findings, final=end.stamp)
    elif floor is not None and end.stamp < floor.stamp:
        sentence = f"{text}, although {floor.stamp} is greater."
        _note("lower-write-won", key, winner, sentence, findings, final=end.stamp, greatest=floor.stamp)


def _origin(register: _Register, end: Stamped, begin: Stamped | None) -> tuple[str, tuple[Stamped, Operation] | None]:
    """Return the kind of anomaly in where the final value comes from (empty: none), and the write it came from."""
    for pair in (*register.acknowledged, *register.indeterminate):
        if _same(pair[0], end):
            return "", pair
    if begin is not None and _same(begin, end):
        return "", None
    for pair in register.denied:
        if _same(pair[0], end):
            return ("rejected-yet-applied" if pair[1].outcome == "rejected" else "failed-yet-applied"), pair
    return "phantom-write", None


def _note(
    kind: str,
    key: Hashable,
    pair: tuple[Stamped, Operation] | None,
    sentence: str,
    findings: Findings,
    **details: Any,
) -> None:
    operations = [pair[1]] if pair else []
    told = story.acknowledged if pair and pair[1].status == "ok" else story.ended
    findings.add(
        kind, lambda: (*(told(findings.history, o) for o in operations), sentence), operations, key=key, **details
    )


def _find_regressions(read: Callable[[Operation], Stamped | None], findings: Findings) -> None:
    latest: dict[tuple[int, Hashable], tuple[Stamped, Operation]] = {}
    for operation in findings.history.operations:
        seen = read(operation) if operation.status == "ok" else None
        if seen is None:
            continue
        place = (operation.process, freeze(seen.key))
        before = latest.get(place)
        if before is not None and seen.stamp < before[0].stamp:
            _note_regression(before, (seen, operation), findings)
        else:
            latest[place] = (seen, operation)


def _note_regression(before: tuple[Stamped, Operation], after: tuple[Stamped, Operation], findings: Findings) -> None:
    def tell() -> tuple[str, ...]:
        return (
            story.ended(findings.history, before[1]),
            story.ended(findings.history, after[1]),
            f"Process {after[1].process} saw {before[0].stamp} and then {after[0].stamp}.",
        )

    findings.add("went-back", tell, (before[1], after[1]), key=after[0].key)
