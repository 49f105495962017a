"""Small histories for the checkers: builders, and random ones drawn from a seed, with both verdicts among them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, cast

from harness.history import History
from harness.operation import Failure, Operation, Outcome, Status
from harness.seed import stream

UNREACHABLE = Failure(types=("AutoReconnect", "ConnectionFailure", "PyMongoError"), message="closed", answered=False)


def operation(
    index: int,
    function: str,
    start: int,
    end: int | None,
    *,
    status: str = "ok",
    outcome: str = "",
    result: Any = None,
    client: int = 0,
    **arguments: Any,
) -> Operation:
    """Return one operation; the outcome follows from the status unless it is given."""
    outcome = (
        outcome or {"ok": "returned", "fail": "raised", "info": "raised" if end is not None else "unfinished"}[status]
    )
    return Operation(
        index=index,
        process=client,
        client=client,
        function=function,
        arguments=arguments,
        start_ns=start,
        returned_ns=end,
        status=cast("Status", status),
        outcome=cast("Outcome", outcome),
        result=result,
        error=UNREACHABLE if outcome == "raised" else None,
    )


def history(*operations: Operation, **final: Any) -> History:
    """Return a history of these operations and final reads."""
    ordered = sorted(operations, key=lambda one: (one.start_ns, one.index))
    return History(operations=tuple(ordered), final=final)


def random_intervals(draw: random.Random, count: int, clients: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (client, start, moment of effect, end) in order of effect, on few stamps, so that many are equal."""
    free = [0] * clients
    intervals = []
    for _ in range(count):
        client = draw.randrange(clients)
        start = free[client] + draw.randint(0, 2)
        end = start + draw.randint(0, 4)
        intervals.append((client, start, draw.randint(start, end), end))
        free[client] = end
    yield from sorted(intervals, key=lambda one: one[2])


def random_status(draw: random.Random) -> str:
    """Return mostly ok, sometimes info, rarely fail."""
    return draw.choices(("ok", "info", "fail"), (70, 22, 8))[0]


def register_histories(count: int, *, unique: bool, cas: bool = False) -> Iterator[History]:
    """Yield random histories of one register; about a third of them with results that were tampered with."""
    for number in range(count):
        draw = stream(number, "register", int(unique), int(cas))
        yield _register_history(draw, unique=unique, cas=cas)


def _register_history(draw: random.Random, *, unique: bool, cas: bool) -> History:
    value: Any = None
    tamper = draw.random() < 0.6
    made = []
    functions = ("read", "write", "cas") if cas else ("read", "write")
    for index, (client, start, _, end) in enumerate(random_intervals(draw, draw.randint(2, 6), 3)):
        function, status = draw.choice(functions), random_status(draw)
        applied = status == "ok" or (status == "info" and draw.random() < 0.5)
        arguments: dict[str, Any] = {}
        result: Any = None
        if function == "write":
            arguments = {"value": index + 1 if unique else draw.randint(1, 2)}
            value = arguments["value"] if applied else value
        elif function == "cas":
            arguments = {"old": draw.choice((None, 1, 2)), "new": draw.randint(1, 2)}
            result = arguments["old"] == value
            value = arguments["new"] if applied and result else value
        else:
            result = value
        if tamper and function == "read" and draw.random() < 0.4:
            result = draw.choice((None, *range(1, 7 if unique else 3)))
        if tamper and function == "cas" and draw.random() < 0.3:
            result = not result
        gone = status == "info" and draw.random() < 0.3
        made.append(
            operation(
                index,
                function,
                start,
                None if gone else end,
                status=status,
                result=result if status == "ok" else None,
                client=client,
                **arguments,
            )
        )
    return history(*made)


def document_histories(count: int, *, counter: bool = False) -> Iterator[History]:
    """Yield random histories of one versioned document; with ``counter`` a write adds to what is there."""
    for number in range(count):
        yield _document_history(stream(number, "document", int(counter)), counter=counter)


def _document_history(draw: random.Random, *, counter: bool) -> History:
    state: tuple[int, Any] = (0, 0 if counter else None)
    tamper = draw.random() < 0.6
    made = []
    for index, (client, start, _, end) in enumerate(random_intervals(draw, draw.randint(2, 6), 3)):
        function, status = draw.choice(("read", "write", "write", "cas")), random_status(draw)
        seen = state[0] if draw.random() < 0.9 else max(0, state[0] - 1)
        argument = draw.randint(1, 2)
        applied = status == "ok" or (status == "info" and draw.random() < 0.6)
        if function == "cas" and seen != state[0]:
            status, applied = ("info" if status == "ok" else status), False
        if function != "read" and applied:
            state = (state[0] + 1, state[1] + argument if counter else argument)
        told: tuple[int, Any] = state
        if tamper and draw.random() < 0.3:
            told = (max(0, told[0] + draw.choice((-1, 0, 1))), draw.choice((told[1], 1, 2)))
        gone = status == "info" and draw.random() < 0.3
        made.append(
            operation(
                index,
                function,
                start,
                None if gone else end,
                status=status,
                result=list(told) if status == "ok" else None,
                client=client,
                seen=seen,
                argument=argument,
            )
        )
    return history(*made)
