"""Shrinking: the smallest workload that still has a failing schedule, and the fewest deviations that fail it.

Fewer operations are tried with the schedule that is known; where that no longer fails, with others: the same deviations
moved to operations that are left, sampled schedules, and every schedule of few deviations. So what is kept is not the
schedule but the question whether one exists. Kept are the verdict and the kind of anomaly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from harness.errors import UsageError
from harness.explore.bounds import Bounds
from harness.explore.exhaustive import Budget, search
from harness.explore.profile import CountingStrategy, Profile, mean_profile
from harness.explore.program import Execution, Program, Workload, WorkloadItem
from harness.explore.replay import ReplayStrategy
from harness.explore.strategies import FAULT, make_strategy
from harness.scenario.record import Call
from harness.sim.kernel import DefaultStrategy, Deviation, Site
from harness.sim.kernel.choices import RUN, TIME, Label

T = TypeVar("T")

DEFAULT_BUDGET: Final = 5_000
SEARCH_DEPTH: Final = 2
FINAL_DEPTH: Final = 3
_SAMPLES: Final = 24
_SEARCH_SHARE: Final = 12
"""A search on the way may cost this part of the budget that is left."""
_FINAL_SHARE: Final = 3
_SINGLE_EXECUTIONS: Final = 40
"""What the search for a single deviation of a single operation may cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShrinkResult:
    """A small workload with an execution of it that shows the anomaly, and what it is known to be minimal in."""

    workload: Workload
    execution: Execution
    anomaly: str
    executions: int
    """What the shrinking cost."""
    minimal: bool
    """Whether it ended at a local minimum, and not for want of budget."""
    claims: tuple[str, ...]
    """What is known, a sentence each."""

    @property
    def size(self) -> tuple[int, int, int]:
        """Operations, clients and deviations."""
        return (len(self.workload), len(self.workload.clients), len(self.execution.deviations))


def shrink(
    program: Program,
    workload: Workload,
    execution: Execution,
    *,
    anomaly: str = "",
    budget: int = DEFAULT_BUDGET,
    on_progress: Callable[[ShrinkResult], None] | None = None,
) -> ShrinkResult:
    """Return the smallest workload and schedule that were found to show ``anomaly``, by default the first it has.

    ``execution`` is one of ``workload`` that is violated; ``budget`` is in executions. ``on_progress`` is called with
    each smaller one. Raises UsageError where the execution does not show the anomaly, or does not when replayed.
    """
    kind = anomaly or next(iter(execution.anomalies), "")
    if not execution.shows(kind):
        raise UsageError(
            f"the execution does not show {kind or 'an anomaly'}: it is {execution.status}",
            next_step=f"name one of {', '.join(execution.anomalies)}"
            if execution.anomalies
            else "shrink a violated run",
        )
    shrinker = _Shrinker(program, workload, execution, anomaly=kind, budget=budget, on_progress=on_progress)
    if shrinker.replay(workload, execution.deviations) is None:
        raise UsageError(
            f"the execution does not show {kind} when it is replayed",
            next_step="the program is not deterministic, or has changed since: audit its digests",
        )
    shrinker.reduce_by_replay()
    shrinker.reduce_by_search()
    shrinker.try_single_operations(workload)
    return shrinker.finish()


class _Shrinker:
    def __init__(
        self,
        program: Program,
        workload: Workload,
        execution: Execution,
        *,
        anomaly: str,
        budget: int,
        on_progress: Callable[[ShrinkResult], None] | None,
    ) -> None:
        self.program = program
        self.workload = workload
        self.execution = execution
        self.anomaly = anomaly
        self.budget = budget
        self.executions = 0
        self.refuted: set[tuple[str, ...]] = set()
        """Workloads, by their ids, that no schedule of the final depth fails."""
        self.fewest = False
        """Whether it is known that no schedule of fewer deviations fails the workload."""
        self._on_progress = on_progress

    @property
    def left(self) -> int:
        """Executions that are left."""
        return self.budget - self.executions

    # -- oracles: each returns an execution of the workload that shows the anomaly, or None

    def replay(self, workload: Workload, deviations: Sequence[Deviation]) -> Execution | None:
        """Replay deviations, as far as they go."""
        self.executions += 1
        execution = self.program.execute(workload, ReplayStrategy(deviations))
        return execution if execution.shows(self.anomaly) else None

    def _sample(self, workload: Workload) -> Execution | None:
        if len(workload) == 1:
            # Its schedules are few: a search executes them all for less.
            return None
        counting = CountingStrategy(DefaultStrategy())
        self.executions += 1
        self.program.execute(workload, counting)
        profile: Profile = mean_profile([counting])
        strikes = sum(site.kind == FAULT for site, _ in self.execution.deviations)
        for number in range(min(_SAMPLES, self.left)):
            self.executions += 1
            strategy = make_strategy("portfolio", number, profile, strikes=strikes)
            execution = self.program.execute(workload, strategy)
            if execution.shows(self.anomaly):
                return execution
        return None

    def _search(self, workload: Workload, depth: int, cap: int) -> tuple[Execution | None, bool]:
        """Execute every schedule of at most ``depth`` deviations; return what fails, and whether all were executed."""
        bounds = Bounds(preemptions=None, faults=None, jumps=None, others=None, total=depth)
        return self._search_within(workload, bounds, cap, _alike(self.execution.deviations))

    def _search_within(
        self, workload: Workload, bounds: Bounds, cap: int, admit: Callable[[str, Label], bool] | None
    ) -> tuple[Execution | None, bool]:
        result = search(
            self.program,
            workload,
            bounds,
            budget=Budget(executions=cap),
            admit=admit,
            stop=lambda execution: execution.shows(self.anomaly),
        )
        self.executions += result.executions
        found = next((e for e in result.violations if e.shows(self.anomaly)), None)
        return found, result.complete

    def _replays(self, workload: Workload) -> Execution | None:
        deviations = self.execution.deviations
        found = self.replay(workload, deviations)
        if found is None and (moved := _moved(deviations, self.workload, workload)) != deviations:
            found = self.replay(workload, moved)
        return found

    def _searches(self, workload: Workload) -> Execution | None:
        return self._search(workload, SEARCH_DEPTH, max(1, self.left // _SEARCH_SHARE))[0]

    # -- reductions

    def adopt(self, workload: Workload, execution: Execution) -> None:
        """Go on from a smaller one."""
        self.workload, self.execution, self.fewest = workload, execution, False
        if self._on_progress is not None:
            self._on_progress(self._result(minimal=False, claims=()))

    def _try_replay(self, workload: Workload, deviations: Sequence[Deviation]) -> bool:
        if not workload.items or self.left <= 0:
            return False
        found = self.replay(workload, deviations)
        if found is None:
            return False
        self.adopt(workload, found)
        return True

    def reduce_by_replay(self) -> None:
        """Take away clients, operations and deviations as long as what is left of the schedule still fails."""
        size = None
        while size != (size := (len(self.workload), len(self.execution.deviations))) and self.left > 0:
            for client in self.workload.clients:
                self._try_replay(_without_client(self.workload, client), self.execution.deviations)
            minimise(self.workload.ids, self._keeps_failing)
            self._reduce_deviations()

    def _keeps_failing(self, ids: Sequence[str]) -> bool:
        return self._try_replay(self.workload.keep(ids), self.execution.deviations)

    def _reduce_deviations(self) -> None:
        minimise(self.execution.deviations, lambda kept: self._try_replay(self.workload, kept))

    def reduce_by_search(self) -> None:
        """Take away operations as long as a failing schedule exists, then look closer, until nothing more goes."""
        while self.left > 0 and (self._reduce_operations() or self._reduce_finally()):
            self._reduce_deviations()

    def try_single_operations(self, drawn: Workload) -> None:
        """Try whether one operation alone shows it, of all that were drawn: what went away first may have been it.

        Each runs undisturbed. The first of each function runs with any single deviation too, whatever its kind.
        """
        functions = {item.call.function for item in self.workload}
        tried: list[Call] = []
        for item in drawn if len(self.workload) > 1 else ():
            if item.call.function not in functions or item.call in tried or self.left <= 0:
                continue
            single = drawn.keep({item.id})
            first = item.call.function not in {call.function for call in tried}
            tried.append(item.call)
            found = self._single(single, first=first)
            if found is not None:
                self.adopt(single, found)
                self.reduce_by_search()
                return

    def _single(self, workload: Workload, *, first: bool) -> Execution | None:
        if not first:
            return self.replay(workload, ())
        bounds = Bounds(preemptions=None, faults=None, jumps=None, others=None, total=1)
        return self._search_within(workload, bounds, min(self.left, _SINGLE_EXECUTIONS), None)[0]

    def _reduce_operations(self) -> bool:
        """Try every smaller workload, with what is cheap first; return whether one of them fails."""
        for exists in (self._replays, self._sample, self._searches):
            for candidate in _smaller(self.workload, self.execution.evidence):
                if self.left <= 0:
                    return False
                if candidate.ids not in self.refuted and (found := exists(candidate)) is not None:
                    self.adopt(candidate, found)
                    return True
        return False

    def _reduce_finally(self) -> bool:
        """Search every smaller workload and this one to the final depth; return whether something smaller was found."""
        if self._fewer_deviations():
            return True
        for item in self.workload:
            candidate = self.workload.without({item.id})
            if not candidate.items or candidate.ids in self.refuted or self.left <= 0:
                continue
            found, complete = self._search(candidate, FINAL_DEPTH, max(1, self.left // _FINAL_SHARE))
            if found is not None:
                self.adopt(candidate, found)
                return True
            if complete:
                self.refuted.add(candidate.ids)
        return False

    def _fewer_deviations(self) -> bool:
        depth = min(FINAL_DEPTH, len(self.execution.deviations) - 1)
        if depth < 0 or self.left <= 0:
            return False
        found, self.fewest = self._search(self.workload, depth, max(1, self.left // _FINAL_SHARE))
        if found is None:
            self.fewest = self.fewest and depth == len(self.execution.deviations) - 1
            return False
        self.adopt(self.workload, found)
        return True

    # -- the end

    def finish(self) -> ShrinkResult:
        """Return what was reached, with what is known of it."""
        ids = [self.workload.without({item.id}).ids for item in self.workload]
        proved = all(not left or left in self.refuted for left in ids)
        kinds = _kinds_of(self.execution.deviations)
        claims = []
        if proved:
            claims.append(
                f"No operation can be left out: without it no schedule of at most {FINAL_DEPTH} deviations ({kinds}) "
                f"shows {self.anomaly}."
            )
        if self.fewest or not self.execution.deviations:
            claims.append(f"No schedule with fewer deviations ({kinds}) shows {self.anomaly} on these operations.")
        if not claims:
            claims.append(f"It is not known to be minimal: the budget of {self.budget:,} executions was spent.")
        return self._result(minimal=proved and (self.fewest or not self.execution.deviations), claims=tuple(claims))

    def _result(self, *, minimal: bool, claims: tuple[str, ...]) -> ShrinkResult:
        return ShrinkResult(
            workload=self.workload,
            execution=self.execution,
            anomaly=self.anomaly,
            executions=self.executions,
            minimal=minimal,
            claims=claims,
        )


def minimise(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """Return a part of ``items`` that still fails and of which no single one can be spared (delta debugging)."""
    kept = tuple(items)
    size = max(1, len(kept) // 2)
    while kept:
        start, removed = 0, False
        while start < len(kept):
            rest = kept[:start] + kept[start + size :]
            if fails(rest):
                kept, removed = rest, True
            else:
                start += size
        if size == 1 and not removed:
            break
        size = max(1, size // 2)
    return kept


def _without_client(workload: Workload, client: int) -> Workload:
    return workload.without({item.id for item in workload.of(client)})


def _smaller(workload: Workload, evidence: Sequence[str]) -> Iterator[Workload]:
    """Yield smaller workloads, the most promising first: the evidence alone, without a client, a part, an operation."""
    named = workload.keep(frozenset(evidence))
    if 0 < len(named) < len(workload):
        yield named
    if len(workload.clients) > 1:
        yield from (_without_client(workload, client) for client in workload.clients)
    size = len(workload) // 2
    while size >= 1:
        for start in range(0, len(workload), size):
            gone = {item.id for item in workload.items[start : start + size]}
            if len(gone) < len(workload):
                yield workload.without(gone)
        size //= 2


def _alike(deviations: Sequence[Deviation]) -> Callable[[str, Label], bool]:
    """Return what a search around these deviations may deviate in: tasks, and what they deviate in beside."""
    known = {(site.kind, label) for site, label in deviations}

    def admit(kind: str, label: Label) -> bool:
        return (kind, label) in known or (kind == RUN and label != TIME)

    return admit


def _kinds_of(deviations: Sequence[Deviation]) -> str:
    """Return in words what a search around these deviations deviated in."""
    others = {
        "time passing" if site.kind == RUN else f"{site.kind} {label}"
        for site, label in deviations
        if _marked(site, label)
    }
    return ", ".join(["tasks taking turns", *sorted(others)])


def _marked(site: Site, label: Label) -> bool:
    return site.kind != RUN or label == TIME


def _moved(deviations: Sequence[Deviation], before: Workload, after: Workload) -> tuple[Deviation, ...]:
    """Return the deviations with those of operations that are gone moved to others of the same function and client."""
    items = {item.id: item for item in before}
    left = frozenset(after.ids)
    moved = []
    for site, label in deviations:
        item = items.get(site.operation)
        if item is None or item.id in left:
            moved.append(Deviation(site, label))
            continue
        twin = _twin(item, after)
        if twin is not None:
            moved.append(Deviation(Site(site.task, twin.id, site.kind, site.occurrence), label))
    return tuple(moved)


def _twin(item: WorkloadItem, workload: Workload) -> WorkloadItem | None:
    alike = [other for other in workload.of(item.client) if other.call.function == item.call.function]
    return min(alike, key=lambda other: abs(other.index - item.index), default=None)
