"""The status rule: what the record of an operation's database calls proves about its effect. Pure.

An operation is ``fail`` only where every write in it, in every attempt on the wire, is proved to have had no effect:

- it was answered, and the answer says that nothing matched; or
- it was a write of a single statement, answered with a top-level code that means "not applied", or with exactly one
  entry in ``writeErrors``, and without a writeConcernError; or
- it ran in a transaction for which no ``commitTransaction`` was ever sent, or every attempt at it was answered by 251.

Everything else that did not return is ``info``: the last error alone proves nothing, since an earlier attempt whose
reply was lost may have been applied. Sources: DESIGN.md section 2; retryable-writes and transactions specifications.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.operation import Attempt, DatabaseCall, Outcome, Status

NO_SUCH_TRANSACTION = 251

STATE_CHANGE_CODES = frozenset({91, 189, 10058, 10107, 11600, 11602, 13435, 13436})
"""The member was not, or no longer, a primary that could take the write."""

CONFLICT_CODES = frozenset({24, 112, 225, NO_SUCH_TRANSACTION, 11000})
"""LockTimeout, WriteConflict, TransactionTooOld, NoSuchTransaction, DuplicateKey."""

REFUSAL_CODES = frozenset(
    {2, 9, 13, 14, 18, 20, 26, 27, 28, 40, 48, 52, 54, 55, 56, 57, 59, 66, 67, 68, 72, 73, 85, 86, 115, 121, 166, 167}
    | {168, 197, 246, 256, 263, 10334, 17280, 17419, 40414, 40415}
)
"""The command does not parse, is not allowed, does not fit its target, or breaks a rule of validation."""

NOT_APPLIED_CODES = STATE_CHANGE_CODES | CONFLICT_CODES | REFUSAL_CODES
"""Top-level codes after which a write of a single statement has not been applied."""

INTERRUPTION_CODES = frozenset({91, 189, 11600, 11602})
"""After these a definition (an index build, a dropped database) may be half done, or go on in the background."""

_STATEMENTS = {"insert": "documents", "update": "updates", "delete": "deletes"}
_FIND_AND_MODIFY = frozenset({"findAndModify", "findandmodify"})
_DEFINITION_COMMANDS = frozenset(
    {"create", "createIndexes", "drop", "dropIndexes", "dropDatabase", "renameCollection", "collMod"}
)
_COMMANDS_WITHOUT_EFFECT = frozenset(
    {"find", "getMore", "count", "distinct", "explain", "listCollections", "listIndexes", "listDatabases", "validate"}
    | {"killCursors", "abortTransaction", "endSessions", "startSession", "refreshSessions", "killSessions"}
    | {"hello", "isMaster", "ismaster", "ping", "buildInfo", "buildinfo", "connectionStatus", "currentOp", "dbHash"}
    | {"serverStatus", "dbStats", "dbstats", "collStats", "collstats", "dataSize", "getParameter", "hostInfo"}
    | {"getDefaultRWConcern", "replSetGetStatus", "replSetGetConfig"}
)
_WRITING_STAGES = frozenset({"$out", "$merge"})
_BULK_COUNTS = ("nInserted", "nMatched", "nModified", "nUpserted", "nDeleted", "nErrors")

Transaction = tuple[str, int]


def classify(calls: tuple[DatabaseCall, ...], outcome: Outcome) -> Status:
    """Return the status of an operation that ended as ``outcome`` with these database calls.

    What returned is ``ok``, unless it contains an unacknowledged (w:0) write: then it is ``info``. What never ended
    is ``info``. Everything else is ``fail`` where the calls prove that it had no effect, and ``info`` where not.
    """
    attempts = tuple(attempt for call in calls for attempt in call.attempts)
    if outcome == "returned":
        return "info" if any(is_unacknowledged(attempt) for attempt in attempts) else "ok"
    if outcome == "unfinished":
        return "info"
    return "fail" if had_no_effect(attempts) else "info"


def had_no_effect(attempts: Sequence[Attempt]) -> bool:
    """Whether these attempts, all that one operation made, prove that nothing was applied."""
    undone = _transactions_without_effect(attempts)
    return all(
        attempt.transaction in undone or (attempt.command != "commitTransaction" and _was_not_applied(attempt))
        for attempt in attempts
        if is_write(attempt)
    )


def is_write(attempt: Attempt) -> bool:
    """Whether the command may change data; a commit does, on behalf of the statements before it.

    A command that this module does not know counts as a write about which nothing can be proved.
    """
    if attempt.command == "aggregate":
        return _writes_its_result(attempt.request)
    return attempt.command not in _COMMANDS_WITHOUT_EFFECT


def statement_count(attempt: Attempt) -> int:
    """Return how many statements a write has: the length of its list, 1 where the command has none."""
    field = "ops" if attempt.command == "bulkWrite" else _STATEMENTS.get(attempt.command, "")
    statements = attempt.request.get(field)
    return len(statements) if isinstance(statements, Sequence) and statements else 1


def is_unacknowledged(attempt: Attempt) -> bool:
    """Whether the command is a write that the server was told not to answer (w:0)."""
    concern = attempt.request.get("writeConcern")
    return concern is not None and isinstance(concern, Mapping) and concern.get("w") == 0 and is_write(attempt)


def _writes_its_result(request: Mapping[str, Any]) -> bool:
    pipeline = request.get("pipeline")
    stages = pipeline if isinstance(pipeline, Sequence) else ()
    return any(isinstance(stage, Mapping) and not _WRITING_STAGES.isdisjoint(stage) for stage in stages)


def _transactions_without_effect(attempts: Sequence[Attempt]) -> frozenset[Transaction]:
    by_transaction: dict[Transaction, list[Attempt]] = {}
    for attempt in attempts:
        if attempt.transaction is not None:
            by_transaction.setdefault(attempt.transaction, []).append(attempt)
    return frozenset(key for key, members in by_transaction.items() if _transaction_had_no_effect(members))


def _transaction_had_no_effect(attempts: Sequence[Attempt]) -> bool:
    commits = [attempt for attempt in attempts if attempt.command == "commitTransaction"]
    if all(_is_refused_commit(commit) for commit in commits):
        return True
    statements = [attempt for attempt in attempts if attempt.command != "commitTransaction"]
    seen_from_its_start = any(statement.request.get("startTransaction") is True for statement in statements)
    return seen_from_its_start and all(_was_not_applied(each) for each in statements if is_write(each))


def _is_refused_commit(commit: Attempt) -> bool:
    answer = _answer(commit)
    return answer is not None and _top_level_code(answer) == NO_SUCH_TRANSACTION and "writeConcernError" not in answer


def _was_not_applied(attempt: Attempt) -> bool:
    answer = _answer(attempt)
    if answer is None or "writeConcernError" in answer:
        return False
    code = _top_level_code(answer)
    if code is not None:
        return _means_not_applied(code, attempt)
    errors = answer.get("writeErrors")
    if errors:
        return len(errors) == 1 and _is_single_statement(attempt)
    return _matched_nothing(attempt, answer)


def _means_not_applied(code: int, attempt: Attempt) -> bool:
    if attempt.command in _DEFINITION_COMMANDS:
        return code in NOT_APPLIED_CODES - INTERRUPTION_CODES
    return code in NOT_APPLIED_CODES and _is_single_statement(attempt)


def _answer(attempt: Attempt) -> Mapping[str, Any] | None:
    if attempt.failure is None:
        return attempt.reply
    if not attempt.failure.answered:
        return None
    return attempt.failure.reply or {"ok": 0, "code": attempt.failure.code}


def _top_level_code(answer: Mapping[str, Any]) -> int | None:
    if answer.get("ok"):
        return None
    code = answer.get("code")
    return code if isinstance(code, int) else 0


def _is_single_statement(attempt: Attempt) -> bool:
    command, request = attempt.command, attempt.request
    if command in _FIND_AND_MODIFY:
        return True
    statements = request.get(_STATEMENTS.get(command, ""))
    if not isinstance(statements, Sequence) or len(statements) != 1:
        return False
    if command == "insert":
        return True
    statement = statements[0]
    if command == "update":
        return not statement.get("multi")
    return bool(statement.get("limit") == 1)


def _matched_nothing(attempt: Attempt, answer: Mapping[str, Any]) -> bool:
    command = attempt.command
    if command in _STATEMENTS:
        return answer.get("n") == 0 and not answer.get("upserted")
    if command in _FIND_AND_MODIFY:
        last = answer.get("lastErrorObject")
        return isinstance(last, Mapping) and last.get("n") == 0
    return command == "bulkWrite" and all(answer.get(count) == 0 for count in _BULK_COUNTS)
