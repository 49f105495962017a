"""Transactions from a history: what each read and wrote, held against what its client asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from harness.checkers.isolation.transactions import MicroOperation, Transaction
from harness.errors import HistoryError, unknown_name
from harness.exchange.comparable import comparable, shown
from harness.exchange.edn import Keyword
from harness.exchange.pairing import Imported
from harness.operation import Operation

WORKLOADS: Final[Mapping[str, str]] = {"list-append": "append", "rw-register": "w"}
"""The workloads that files have, each with the name of its writes."""

FUNCTION: Final = "txn"
_WRITES: Final[Mapping[str, Literal["append", "w"]]] = {"append": "append", "w": "w"}
_PARTS: Final = 3
_EXACT: Final = frozenset({int, str})


_Refuse = Callable[[Operation, str], HistoryError]


def transactions_of(imported: Imported, workload: str) -> list[Transaction]:
    """Return the transactions of a history in order of invocation.

    One that ended ``ok`` has what its completion says; of others the reads are unknown. Raises HistoryError, with line
    and operation, for what is no transaction of the workload, and for a completion that did something else than was
    invoked; UsageError for an unknown workload.
    """
    if workload not in WORKLOADS:
        raise unknown_name("workload", workload, WORKLOADS)
    writes = WORKLOADS[workload]
    return [_transaction(imported, operation, writes) for operation in imported.history.operations]


def _transaction(imported: Imported, operation: Operation, writes: str) -> Transaction:
    if operation.function != FUNCTION:
        raise imported.error(operation, f"a transaction is invoked as {FUNCTION}, not {operation.function}")
    invoked = operation.arguments.get("value")
    asked = _micro_operations(imported.error, operation, invoked, writes)
    for micro in asked:
        if micro.kind == "r" and micro.value is not None:
            raise imported.error(operation, f"it was invoked with a read that knows its value: {_words(micro)}")
        if micro.kind != "r" and micro.value is None:
            raise imported.error(operation, f"it writes nothing to {shown(micro.key)}")
    completed = operation.status == "ok"
    if completed:
        done = _micro_operations(imported.completion_error, operation, operation.result, writes)
        _compare(imported, operation, asked, done)
    return Transaction(
        index=operation.index,
        process=operation.process,
        start_ns=operation.start_ns,
        end_ns=operation.end_ns,
        status=operation.status,
        operations=done if completed else asked,
    )


def _micro_operations(refuse: _Refuse, operation: Operation, value: Any, writes: str) -> tuple[MicroOperation, ...]:
    if not isinstance(value, list | tuple):
        raise refuse(operation, f"a transaction is a vector of micro-operations, not {shown(value)}")
    return tuple([_micro_operation(refuse, operation, part, writes) for part in value])


def _micro_operation(refuse: _Refuse, operation: Operation, part: Any, writes: str) -> MicroOperation:
    if not isinstance(part, list | tuple) or len(part) != _PARTS or part[0] not in ("r", writes):
        raise refuse(
            operation, f"a micro-operation is [:r key value] or [:{writes} key value], not {shown(_named(part))}"
        )
    kind, key, value = part
    if kind == "r" and writes == "append" and value is not None and not isinstance(value, list | tuple):
        raise refuse(operation, f"a read of a list returns a vector, not {shown(value)}")
    return MicroOperation(
        kind="r" if kind == "r" else _WRITES[writes],
        key=key if type(key) in _EXACT else comparable(key),
        value=value if value is None or type(value) in _EXACT else _elements(value),
    )


def _elements(value: Any) -> Any:
    """Return a value that was written or read; lists of plain elements need no more than to be tuples."""
    return tuple(value) if type(value) is list and _EXACT.issuperset(map(type, value)) else comparable(value)


def _named(part: Any) -> Any:
    if isinstance(part, list | tuple) and part and part[0] in ("r", *WORKLOADS.values()):
        return [Keyword(part[0]), *part[1:]]
    return part


def _compare(
    imported: Imported, operation: Operation, asked: Sequence[MicroOperation], done: Sequence[MicroOperation]
) -> None:
    if len(asked) != len(done):
        problem = f"it was invoked with {len(asked)} micro-operations and completed with {len(done)}"
        raise imported.completion_error(operation, problem)
    for number, (before, after) in enumerate(zip(asked, done, strict=True), start=1):
        same_write = before.kind == "r" or before.value == after.value
        if before.kind != after.kind or before.key != after.key or not same_write:
            problem = f"micro-operation {number} was invoked as {_words(before)} and completed as {_words(after)}"
            raise imported.completion_error(operation, problem)


def _words(micro: MicroOperation) -> str:
    return f"[:{micro.kind} {shown(micro.key)} {shown(micro.value)}]"
