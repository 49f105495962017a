"""Unexpected errors: exceptions that a caller got and that the contract does not provide for."""

from __future__ import annotations

from collections import defaultdict

from harness.checkers import story
from harness.checkers.findings import Findings
from harness.history import History
from harness.interfaces.checker import Checker
from harness.operation import Failure, Operation
from harness.verdict import Verdict

UNAVAILABLE_TYPES = frozenset(
    {
        "AutoReconnect",
        "ConnectionFailure",
        "ExecutionTimeout",
        "NetworkTimeout",
        "NotPrimaryError",
        "ServerSelectionTimeoutError",
        "WTimeoutError",
        "WaitQueueTimeoutError",
        "WriteConcernError",
    }
)
"""Classes by which the driver says that the set could not be reached or could not confirm in time."""

UNAVAILABLE_CODES = frozenset({50, 64, 91, 189, 10058, 10107, 11600, 11602, 13435, 13436})
"""Time-outs (50, 64) and the server's answers while it changes state or shuts down."""

UNAVAILABLE_LABELS = frozenset({"RetryableWriteError", "TransientTransactionError", "UnknownTransactionCommitResult"})


def is_unavailability(failure: Failure) -> bool:
    """Whether a failure only says that the set was not available just then, which any caller must live with."""
    return (
        not UNAVAILABLE_TYPES.isdisjoint(failure.types)
        or failure.code in UNAVAILABLE_CODES
        or not UNAVAILABLE_LABELS.isdisjoint(failure.labels)
        or _is_unconfirmed_bulk(failure)
    )


def _is_unconfirmed_bulk(failure: Failure) -> bool:
    reply = failure.reply or {}
    return bool(reply.get("writeConcernErrors")) and not reply.get("writeErrors")


def unexpected_errors(
    declared: tuple[str, ...] = (),
    *,
    name: str = "unexpected-errors",
    guarantee: str = "No caller gets an error that the contract does not provide for.",
) -> Checker:
    """Return the checker for exceptions that are neither declared nor unavailability.

    ``declared`` names exception classes that the contract provides for; a base class covers its subclasses. A
    ``Rejected`` is an outcome of its own and never an error. One anomaly ``unexpected-error`` for each distinct
    class, code and function, with the number of operations and one of them as the example.

    Example::

        unexpected_errors(("DuplicateKeyError",))
    """
    provided = frozenset(declared)

    def check(history: History) -> Verdict:
        groups: defaultdict[tuple[str, int | None, str], list[Operation]] = defaultdict(list)
        for operation in history.operations:
            failure = operation.error
            if operation.outcome != "raised" or failure is None:
                continue
            if provided.isdisjoint(failure.types) and not is_unavailability(failure):
                groups[failure.types[0], failure.code, operation.function].append(operation)
        findings = Findings(history, guarantee)
        for operations in groups.values():
            _add(operations, findings)
        return findings.conclude(
            name,
            operations=len(history.operations),
            unknown="" if history.operations else "no operation was recorded: there is nothing to judge",
            certificate={
                "operations": len(history.operations),
                "raised": sum(operation.outcome == "raised" for operation in history.operations),
            },
        )

    return Checker(name=name, guarantee=guarantee, check=check, ignores_real_time=True)


def _add(operations: list[Operation], findings: Findings) -> None:
    example = operations[0]
    failure = example.error
    if failure is None:
        return
    code = f" (code {failure.code})" if failure.code is not None else ""

    def tell() -> tuple[str, ...]:
        where = f", raised at {failure.where}" if failure.where else ""
        tried = len(findings.history.of(example.function))
        return (
            f"{len(operations)} of {tried} {example.function} operations raised {failure.types[0]}{code}{where}.",
            f"For example, {story.ended(findings.history, example)}",
            f"The message was: {failure.message}",
        )

    findings.add(
        "unexpected-error",
        tell,
        (example,),
        error=failure.types[0],
        code=failure.code,
        function=example.function,
        count=len(operations),
        where=failure.where,
        message=failure.message,
    )
