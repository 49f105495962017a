"""Error codes of commands, their names, and which labels mongod 6.0 puts on them.

Source: ``src/mongo/base/error_codes.yml`` and the specifications of retryable writes and of transactions.
"""

from __future__ import annotations

from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.server.errors import CommandError

BAD_VALUE: Final = 2
FAILED_TO_PARSE: Final = 9
UNAUTHORIZED: Final = 13
TYPE_MISMATCH: Final = 14
INVALID_LENGTH: Final = 16
ILLEGAL_OPERATION: Final = 20
LOCK_TIMEOUT: Final = 24
NAMESPACE_NOT_FOUND: Final = 26
INDEX_NOT_FOUND: Final = 27
CURSOR_NOT_FOUND: Final = 43
NAMESPACE_EXISTS: Final = 48
MAX_TIME_EXPIRED: Final = 50
COMMAND_NOT_FOUND: Final = 59
WRITE_CONCERN_FAILED: Final = 64
INVALID_OPTIONS: Final = 72
INVALID_NAMESPACE: Final = 73
OPERATION_FAILED: Final = 96
WRITE_CONFLICT: Final = 112
CONFLICTING_OPERATION: Final = 117
COMMAND_FAILED: Final = 125
INCOMPLETE_TRANSACTION_HISTORY: Final = 217
TRANSACTION_TOO_OLD: Final = 225
SNAPSHOT_UNAVAILABLE: Final = 246
NO_SUCH_TRANSACTION: Final = 251
TRANSACTION_COMMITTED: Final = 256
INVALID_RESUME_TOKEN: Final = 260
NOT_SUPPORTED_IN_TRANSACTION: Final = 263
FAIL_POINT_SET_FAILED: Final = 266
CHANGE_STREAM_FATAL: Final = 280
CHANGE_STREAM_HISTORY_LOST: Final = 286
NOT_WRITABLE_PRIMARY: Final = 10107
INTERRUPTED: Final = 11602
NOT_PRIMARY_NO_SECONDARY_OK: Final = 13435
NOT_PRIMARY_OR_SECONDARY: Final = 13436
DUPLICATE_KEY: Final = 11000
NOT_A_RETRYABLE_WRITE: Final = 50768
MISSING_FIELD: Final = 40414
UNKNOWN_FIELD: Final = 40415

TRANSIENT: Final = "TransientTransactionError"
RETRYABLE_WRITE: Final = "RetryableWriteError"
RESUMABLE: Final = "ResumableChangeStreamError"
NON_RESUMABLE: Final = "NonResumableChangeStreamError"

_NAMES: Final[dict[int, str]] = {
    1: "InternalError",
    BAD_VALUE: "BadValue",
    4: "NoSuchKey",
    6: "HostUnreachable",
    7: "HostNotFound",
    8: "UnknownError",
    FAILED_TO_PARSE: "FailedToParse",
    11: "UserNotFound",
    UNAUTHORIZED: "Unauthorized",
    TYPE_MISMATCH: "TypeMismatch",
    15: "Overflow",
    INVALID_LENGTH: "InvalidLength",
    ILLEGAL_OPERATION: "IllegalOperation",
    LOCK_TIMEOUT: "LockTimeout",
    NAMESPACE_NOT_FOUND: "NamespaceNotFound",
    INDEX_NOT_FOUND: "IndexNotFound",
    28: "PathNotViable",
    CURSOR_NOT_FOUND: "CursorNotFound",
    NAMESPACE_EXISTS: "NamespaceExists",
    MAX_TIME_EXPIRED: "MaxTimeMSExpired",
    COMMAND_NOT_FOUND: "CommandNotFound",
    63: "StaleShardVersion",
    WRITE_CONCERN_FAILED: "WriteConcernFailed",
    66: "ImmutableField",
    67: "CannotCreateIndex",
    INVALID_OPTIONS: "InvalidOptions",
    INVALID_NAMESPACE: "InvalidNamespace",
    79: "UnknownReplWriteConcern",
    85: "IndexOptionsConflict",
    86: "IndexKeySpecsConflict",
    89: "NetworkTimeout",
    91: "ShutdownInProgress",
    OPERATION_FAILED: "OperationFailed",
    100: "UnsatisfiableWriteConcern",
    WRITE_CONFLICT: "WriteConflict",
    CONFLICTING_OPERATION: "ConflictingOperationInProgress",
    COMMAND_FAILED: "CommandFailed",
    133: "FailedToSatisfyReadPreference",
    136: "CappedPositionLost",
    150: "StaleEpoch",
    189: "PrimarySteppedDown",
    197: "InvalidIndexSpecificationOption",
    INCOMPLETE_TRANSACTION_HISTORY: "IncompleteTransactionHistory",
    TRANSACTION_TOO_OLD: "TransactionTooOld",
    234: "RetryChangeStream",
    237: "CursorKilled",
    238: "NotImplemented",
    239: "SnapshotTooOld",
    SNAPSHOT_UNAVAILABLE: "SnapshotUnavailable",
    NO_SUCH_TRANSACTION: "NoSuchTransaction",
    TRANSACTION_COMMITTED: "TransactionCommitted",
    INVALID_RESUME_TOKEN: "InvalidResumeToken",
    262: "ExceededTimeLimit",
    NOT_SUPPORTED_IN_TRANSACTION: "OperationNotSupportedInTransaction",
    FAIL_POINT_SET_FAILED: "FailPointSetFailed",
    CHANGE_STREAM_FATAL: "ChangeStreamFatalError",
    CHANGE_STREAM_HISTORY_LOST: "ChangeStreamHistoryLost",
    9001: "SocketException",
    NOT_WRITABLE_PRIMARY: "NotWritablePrimary",
    DUPLICATE_KEY: "DuplicateKey",
    11600: "InterruptedAtShutdown",
    11601: "Interrupted",
    INTERRUPTED: "InterruptedDueToReplStateChange",
    NOT_PRIMARY_NO_SECONDARY_OK: "NotPrimaryNoSecondaryOk",
    NOT_PRIMARY_OR_SECONDARY: "NotPrimaryOrSecondary",
    13388: "StaleConfig",
    NOT_A_RETRYABLE_WRITE: "NotARetryableWriteCommand",
}

RETRYABLE: Final = frozenset({6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""Codes after which a retryable write may be sent again."""

_TRANSIENT_ALWAYS: Final = frozenset({LOCK_TIMEOUT, WRITE_CONFLICT, 239, SNAPSHOT_UNAVAILABLE, 267})

_RESUMABLE_CODES: Final = frozenset(
    {6, 7, 43, 63, 89, 91, 133, 150, 189, 234, 262, 9001, 10107, 11600, 11602, 13388, 13435, 13436}
)
_NEVER_RESUMABLE: Final = frozenset({CHANGE_STREAM_FATAL, CHANGE_STREAM_HISTORY_LOST})


def code_name(code: int) -> str:
    """Return mongod's name of an error code, ``Location<code>`` for one without a name."""
    return _NAMES.get(code, f"Location{code}")


def failure(
    code: int, message: str, *, labels: tuple[str, ...] = (), extra: dict[str, Any] | None = None
) -> CommandError:
    """Return the error with its name."""
    return CommandError(code, code_name(code), message, labels=labels, extra=extra or {})


def of_document_error(error: DocumentError, prefix: str = "") -> CommandError:
    """Return an error of the document engine as the error of a command."""
    return failure(error.code, prefix + error.message, extra=dict(error.details))


def transaction_labels(code: int, *, ends_transaction: bool, concern_failed: bool) -> tuple[str, ...]:
    """Return the label of an error inside a transaction.

    Arguments: ``ends_transaction`` is set for commit and abort, where only what proves that nothing was committed is
    transient; ``concern_failed`` says that the write concern failed as well.
    """
    if code in _TRANSIENT_ALWAYS:
        return (TRANSIENT,)
    if code == NO_SUCH_TRANSACTION and not (ends_transaction and concern_failed):
        return (TRANSIENT,)
    return (TRANSIENT,) if code in RETRYABLE and not ends_transaction else ()


def change_stream_labels(code: int) -> tuple[str, ...]:
    """Return the label of an error of a change stream."""
    if code in _NEVER_RESUMABLE:
        return (NON_RESUMABLE,)
    return (RESUMABLE,) if code in _RESUMABLE_CODES else ()
