"""An oracle for the lazy replication: every pull, flush and commit-point step on its own, all orders enumerated.

Three members, tiny scripts. A state is a tuple of members; between two steps of a script everything that the set may
do by itself may happen, any number of times. The outcomes that a script can have here must be those that it can have on
the simulated set, no fewer (too kind) and no more (impossible).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

Entry = tuple[int, int]
"""Term and value; value 0 is a no-op."""
MAJORITY = 2


class Node(NamedTuple):
    """A member: ``log``, how much of it is on disk and known committed, and how it stands."""

    log: tuple[Entry, ...] = ((1, 0),)
    durable: int = 1
    commit: int = 1
    role: str = "secondary"
    term: int = 1
    up: bool = True
    isolated: bool = False
    lagged: bool = False


State = tuple[Node, Node, Node]
Outcome = tuple[object, ...]
Step = Callable[[State], Iterator[tuple[State, object]]]

BEGIN: State = (Node(role="primary"), Node(), Node())


def outcomes(steps: list[Step], *, knows_ahead: bool = True) -> set[Outcome]:
    """Return every outcome that a script of steps can have.

    ``knows_ahead``: a member may know a commit point beyond what it has applied, as the term check allows.
    """
    reached: dict[tuple[State, Outcome], None] = {(BEGIN, ()): None}
    for step in steps:
        following: dict[tuple[State, Outcome], None] = {}
        by_outcome: dict[Outcome, set[State]] = {}
        for state, outcome in reached:
            by_outcome.setdefault(outcome, set()).add(state)
        for outcome, states in by_outcome.items():
            for state in _closure(states, knows_ahead=knows_ahead):
                for after, seen in step(state):
                    following[after, outcome if seen is None else (*outcome, seen)] = None
        reached = following
    return {outcome for _, outcome in reached}


def _closure(states: set[State], *, knows_ahead: bool) -> set[State]:
    found = set(states)
    pending = list(states)
    while pending:
        state = pending.pop()
        for after in _internal(state, knows_ahead=knows_ahead):
            if after not in found:
                found.add(after)
                pending.append(after)
    return found


def _linked(state: State, one: int, other: int) -> bool:
    return all(state[number].up and not state[number].isolated for number in (one, other))


def _replace(state: State, number: int, **changes: object) -> State:
    nodes = list(state)
    nodes[number] = nodes[number]._replace(**changes)  # type: ignore[arg-type]
    return (nodes[0], nodes[1], nodes[2])


def _sources(state: State, number: int) -> list[int]:
    primaries = [n for n in range(3) if n != number and _linked(state, number, n) and state[n].role == "primary"]
    if primaries:
        return [max(primaries, key=lambda n: state[n].term)]
    return [n for n in range(3) if n != number and _linked(state, number, n)]


def _internal(state: State, *, knows_ahead: bool) -> Iterator[State]:
    for number, node in enumerate(state):
        if not node.up:
            continue
        if node.durable < len(node.log):
            yield _replace(state, number, durable=node.durable + 1)
        if node.role == "primary":
            commit = _committable(state, number)
            if commit is not None:
                yield _replace(state, number, commit=commit)
            continue
        yield from _follow(state, number, knows_ahead=knows_ahead)


def _follow(state: State, number: int, *, knows_ahead: bool) -> Iterator[State]:
    node = state[number]
    for source in _sources(state, number):
        log = state[source].log
        if log[: len(node.log)] != node.log:
            continue
        if len(log) > len(node.log) and not node.lagged:
            yield _replace(state, number, log=log[: len(node.log) + 1])
        if state[source].role == "primary":
            known = state[source].commit
            of_same_term = knows_ahead and log[known - 1][0] == node.log[-1][0]
            if node.commit < (known if of_same_term else min(known, len(node.log))):
                yield _replace(state, number, commit=node.commit + 1)


def _committable(state: State, number: int) -> int | None:
    """Return the next commit point of a primary, which is of its own term, or None."""
    node = state[number]
    for length in range(node.commit + 1, len(node.log) + 1):
        if node.log[length - 1][0] != node.term:
            continue
        holders = sum(
            (n == number or _linked(state, number, n))
            and other.log[:length] == node.log[:length]
            and other.durable >= length
            for n, other in enumerate(state)
        )
        return length if holders >= MAJORITY else None
    return None


# -- steps of a script


def write(number: int, value: int) -> Step:
    """Write on a member."""

    def step(state: State) -> Iterator[tuple[State, object]]:
        node = state[number]
        if node.role != "primary" or not node.up:
            yield state, "not primary"
        else:
            yield _replace(state, number, log=(*node.log, (node.term, value))), None

    return step


def acknowledge(number: int) -> Step:
    """Wait until everything that a primary has is acknowledged by a majority."""

    def step(state: State) -> Iterator[tuple[State, object]]:
        node = state[number]
        if node.commit == len(node.log) == node.durable:
            yield state, None

    return step


def read(number: int, level: str) -> Step:
    """Read all values on a member."""

    def step(state: State) -> Iterator[tuple[State, object]]:
        node = state[number]
        length = min(node.commit, len(node.log)) if level == "majority" else len(node.log)
        yield state, tuple(value for _, value in node.log[:length] if value)

    return step


def isolate(number: int) -> Step:
    """Cut a member from the others."""
    return _always(lambda state: _replace(state, number, isolated=True))


def lag(number: int, on: bool) -> Step:
    """Hold back a member's replication, or let it go on."""
    return _always(lambda state: _replace(state, number, lagged=on))


def rejoin(number: int) -> Step:
    """Heal the links of a member; a stale primary steps down."""

    def act(state: State) -> State:
        state = _replace(state, number, isolated=False)
        newest = max(node.term for node in state if node.up)
        for n, node in enumerate(state):
            if node.up:
                role = "secondary" if node.term < newest else node.role
                state = _replace(state, n, term=newest, role=role)
        return state

    return _always(act)


def kill(number: int) -> Step:
    """Kill a member: what is not on disk is gone."""

    def act(state: State) -> State:
        node = state[number]
        log = node.log[: node.durable]
        return _replace(state, number, log=log, commit=min(node.commit, len(log)), role="secondary", up=False)

    return _always(act)


def restart(number: int) -> Step:
    """Start a killed member again."""
    return _always(lambda state: _replace(state, number, up=True))


def roll_back(number: int) -> Step:
    """Let a member undo what its primary does not have."""

    def act(state: State) -> State:
        node = state[number]
        sources = [n for n in _sources(state, number) if state[n].role == "primary"]
        log = state[sources[0]].log
        common = 0
        while common < min(len(log), len(node.log)) and log[common] == node.log[common]:
            common += 1
        return _replace(
            state,
            number,
            log=node.log[:common],
            durable=min(node.durable, common),
            commit=min(node.commit, common),
        )

    return _always(act)


def elect() -> Step:
    """Let whoever can win an election win it, with or without catching up."""

    def step(state: State) -> Iterator[tuple[State, object]]:
        for number in range(3):
            reached = [n for n in range(3) if n == number or _linked(state, number, n)]
            if not state[number].up or any(state[n].role == "primary" for n in reached):
                continue
            votes = sum(_position(state[n]) <= _position(state[number]) for n in reached)
            if votes >= MAJORITY:
                yield from _win(state, number, reached)

    return step


def _position(node: Node) -> tuple[int, int]:
    return (node.log[-1][0], len(node.log))


def _win(state: State, number: int, reached: list[int]) -> Iterator[tuple[State, object]]:
    term = max(state[n].term for n in reached) + 1
    logs = [state[number].log]
    newest = max((state[n].log for n in reached), key=lambda log: (log[-1][0], len(log)))
    if newest != logs[0] and newest[: len(logs[0])] == logs[0] and not state[number].lagged:
        logs.append(newest)
    for log in logs:
        after = state
        for n in reached:
            after = _replace(after, n, term=term)
        yield _replace(after, number, role="primary", log=(*log, (term, 0))), f"m{number + 1}"


def _always(act: Callable[[State], State]) -> Step:
    def step(state: State) -> Iterator[tuple[State, object]]:
        yield act(state), None

    return step


STEPS: dict[str, Callable[..., Step]] = {
    "write": write,
    "acknowledge": acknowledge,
    "read": read,
    "isolate": isolate,
    "rejoin": rejoin,
    "lag": lag,
    "kill": kill,
    "restart": restart,
    "elect": elect,
    "roll_back": roll_back,
}
