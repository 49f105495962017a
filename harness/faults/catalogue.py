"""The names of ``--fault``, what each one strikes, and the parser of its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from harness.errors import UsageError, unknown_name
from harness.faults.clients import CrashClient
from harness.faults.failpoints import FailPoint, parse_failpoint
from harness.faults.partitions import (
    PARTITION_BRIDGE,
    PARTITION_MAJORITY,
    PARTITION_ONE_WAY,
    PARTITION_PRIMARY,
    PARTITION_RING,
    ClientPartition,
    SplitClients,
)
from harness.faults.processes import KILL_ALL, KILL_MAJORITY, KILL_PRIMARY, KILL_SECONDARY, PAUSE_PRIMARY
from harness.faults.replication import Lag, StepDown
from harness.faults.toxics import BANDWIDTH, BLACK_HOLE, LATENCY, RESET, SLICE, SLOW_CLOSE, DropOneWay, LostReply
from harness.interfaces.backend import Capability
from harness.interfaces.fault import Fault

NO_FAULT = "none"
SEPARATOR = "+"
_FAILPOINT = "failpoint"

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        fault.name: fault
        for fault in (
            PARTITION_PRIMARY,
            PARTITION_MAJORITY,
            PARTITION_RING,
            PARTITION_BRIDGE,
            PARTITION_ONE_WAY,
            DropOneWay(),
            ClientPartition(),
            SplitClients(),
            LATENCY,
            BANDWIDTH,
            RESET,
            SLOW_CLOSE,
            BLACK_HOLE,
            SLICE,
            LostReply(),
            KILL_PRIMARY,
            KILL_SECONDARY,
            KILL_MAJORITY,
            KILL_ALL,
            PAUSE_PRIMARY,
            StepDown(),
            Lag(),
            CrashClient(),
        )
    }
)
"""Every fault that has a name of its own; ``failpoint:COMMAND:ERROR`` is made when it is asked for."""

FAULT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "none": "no fault",
        "partition-primary": "the primary is cut off from all other members; clients keep all their links",
        "partition-majority": "the members are cut into a majority and a minority, drawn at random",
        "partition-ring": "every member reaches a majority, no two the same one",
        "partition-bridge": "two halves that only one member in the middle reaches both of",
        "partition-one-way": "between primary and others, the connections that one side opens are lost",
        "drop-one-way": "between primary and others, the bytes of one direction vanish; connections stay open",
        "partition-clients": "clients cannot reach the primary, members can",
        "split-clients": "the primary is cut off with every second client group (needs --client-groups 2)",
        "latency": "the answers on all links of the primary are late by 200 to 300 ms",
        "bandwidth": "all links of the primary carry 8 KB/s",
        "reset": "all connections of the primary are reset",
        "slow-close": "connections of the primary take 1.5 s to close",
        "black-hole": "all links of the primary swallow everything; connections stay open",
        "slice": "all links of the primary carry 32 bytes at a time, 10 ms apart",
        "lost-reply": "what clients ask of the primary is done, and its answers never arrive",
        "kill-primary": "the primary is killed (kill -9) and started again",
        "kill-secondary": "a secondary is killed (kill -9) and started again",
        "kill-majority": "a majority is killed (kill -9) and started again",
        "kill-all": "every member is killed (kill -9) and started again",
        "pause-primary": "the primary is stopped (SIGSTOP) and resumed",
        "stepdown": "the primary steps down as planned",
        "lag": "one secondary is kept from replicating (stopReplProducer)",
        "failpoint:COMMAND:ERROR": "a quarter of these commands fail: a code or its name, close, lost-reply, "
        "write-concern:CODE",
        "crash-client": "a client dies between two database calls of one operation, and starts again",
    }
)
"""Name to one line that says what strikes, in the order of the reference."""


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Return the faults written in ``text``, joined with ``+``; ``none`` for none.

    Raises UsageError: with the near matches for an unknown name, with the grammar for a malformed failpoint, and
    for what cannot be combined.
    """
    names = [name.strip() for name in text.split(SEPARATOR)]
    if names in ([""], [NO_FAULT]):
        return ()
    faults = tuple(_parse_one(name) for name in names)
    _refuse_conflicts(text, names, faults)
    return faults


def _parse_one(name: str) -> Fault:
    if name.partition(":")[0] == _FAILPOINT:
        return parse_failpoint(name)
    if name == NO_FAULT:
        raise UsageError("the fault 'none' cannot be joined with others", next_step="leave it out")
    if name not in FAULTS:
        raise unknown_name("fault", name, FAULT_NAMES)
    return FAULTS[name]


def _refuse_conflicts(text: str, names: Sequence[str], faults: Sequence[Fault]) -> None:
    if len(set(names)) < len(names):
        raise UsageError(f"a fault is named twice in {text!r}", next_step="name each once; it strikes repeatedly")
    failpoints = [fault.failpoint for fault in faults if isinstance(fault, FailPoint)]
    if len(set(failpoints)) < len(failpoints):
        raise UsageError(
            f"{text!r} asks for two behaviours of one failpoint, and a server keeps one at a time",
            next_step="give each a run of its own",
        )


def refuse_impossible(
    faults: Sequence[Fault], *, backend: str, capabilities: frozenset[Capability], client_groups: int
) -> None:
    """Raise UsageError for a fault that this backend, or this number of client groups, cannot serve."""
    for fault in faults:
        if "client-groups" in fault.needs and client_groups < 2:  # noqa: PLR2004 - one on each side
            raise UsageError(
                f"{fault.name} needs a client group on each side, the run has {client_groups}",
                next_step="add --client-groups 2",
            )
        if missing := fault.needs - capabilities:
            raise UsageError(
                f"the backend {backend!r} cannot do {fault.name}: it has no {' and no '.join(sorted(missing))}",
                next_step="name another fault, or another backend; `harness doctor` says what this machine can run",
            )
