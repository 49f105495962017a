"""``harness serve``: a simulated replica set for real drivers, on loopback ports, until it is told to end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

import trio
from cyclopts import Parameter, validators

from harness.errors import UsageError
from harness.wire.control import QUIT, obey
from harness.wire.pump import Clock
from harness.wire.server import Front, ports_from, serving
from harness.wire.simulated_set import OPLOG_ENTRIES, SimulatedSet

_STDIN: Final = 0
_READ_BYTES: Final = 4096
_PORT_MAX: Final = 65_530


def serve(
    *,
    members: Annotated[Literal[3, 5], Parameter(help="Members of the set.")] = 3,
    port: Annotated[
        int,
        Parameter(
            validator=validators.Number(gte=0, lte=_PORT_MAX), help="Port of the first member; 0: any that is free."
        ),
    ] = 27100,
    seed: Annotated[
        int | None,
        Parameter(show_default=False, help="Draw what a set leaves open (lag, elections) from it; else all goes well."),
    ] = None,
    journal_default: Annotated[
        Literal["true", "false"], Parameter(help="Whether majority writes wait for the journal.")
    ] = "true",
    oplog_entries: Annotated[
        int,
        Parameter(
            validator=validators.Number(gte=1),
            help="Oplog entries that are kept: a change stream cannot resume from before them.",
        ),
    ] = OPLOG_ENTRIES,
) -> int:
    """Serve a simulated replica set on loopback, to PyMongo or any other driver, in real time.

    The connection string goes to standard output. Orders are read from standard input, one a line: `kill primary`,
    `partition-primary`, `heal`, `status`; `help` lists them. It ends with `quit` or ctrl-C.

    For example:

        harness serve

        harness serve --members 5 --port 0 --seed 7
    """
    trio.run(_serve, members, port, seed, journal_default == "true", oplog_entries)
    return 0


async def _serve(members: int, port: int, seed: int | None, journal_default: bool, oplog_entries: int) -> None:
    clock = Clock()
    served = SimulatedSet.start(
        clock.now_us(), members=members, seed=seed, journal_default=journal_default, oplog_entries=oplog_entries
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(_end_on_signal, nursery.cancel_scope)
        async with serving(served, served.kernel, clock, ports_from(port, members)) as front:
            _tell_ready(front)
            async for line in _lines():
                if line.strip() == QUIT:
                    break
                await _obey(front, served, line)
            else:
                await trio.sleep_forever()
        nursery.cancel_scope.cancel()
    _say("the set is gone, nothing was stored")


def _tell_ready(front: Front) -> None:
    for member, address in front.hosts.items():
        _say(f"{member} listens on {address}")
    _say("a simulated replica set, in memory, in real time; type help for the orders, ctrl-C to end it")
    sys.stdout.write(f"{front.connection_string}\n")
    sys.stdout.flush()


async def _obey(front: Front, served: SimulatedSet, line: str) -> None:
    if not line.strip():
        return
    try:
        _say(await front.pump.call("orders", lambda: obey(served, line)))
    except UsageError as error:
        _say(f"error: {error}")


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


async def _end_on_signal(
    scope: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()


async def _lines() -> AsyncIterator[str]:
    """Yield what is typed, line by line, until standard input ends.

    A thread waits for it, on the bare descriptor: it is left behind at the end, and must not hold Python's buffer then.
    """
    rest = b""
    while True:
        data = await trio.to_thread.run_sync(os.read, _STDIN, _READ_BYTES, abandon_on_cancel=True)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
        if not data:
            if rest:
                yield rest.decode("utf-8", "replace")
            return
