"""From replies and broken connections to the exceptions that PyMongo raises, with their codes, details and labels.

Sources: the server discovery, retryable writes and transactions specifications; PyMongo 4.20 for classes and texts.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, Final, NoReturn

from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    CursorNotFound,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WriteError,
    WTimeoutError,
)

CONNECT_TIMEOUT_MS: Final = 2_000
SOCKET_TIMEOUT_MS: Final = 5_000
WIRE_VERSION: Final = 17
"""That of mongod 6.0."""

NOT_PRIMARY_CODES: Final = frozenset({91, 189, 10058, 10107, 11600, 11602, 13435, 13436})
RETRYABLE_CODES: Final = NOT_PRIMARY_CODES | {6, 7, 89, 134, 262, 9001}

RETRYABLE_WRITE: Final = "RetryableWriteError"
NO_WRITES_PERFORMED: Final = "NoWritesPerformed"

NAMESPACE_NOT_FOUND: Final = 26
DUPLICATE_KEY: Final = 11000
_MAX_TIME_EXPIRED: Final = 50
_CURSOR_NOT_FOUND: Final = 43

_CONFIGURED: Final = (
    f" (configured timeouts: socketTimeoutMS: {float(SOCKET_TIMEOUT_MS)}ms,"
    f" connectTimeoutMS: {float(CONNECT_TIMEOUT_MS)}ms)"
)
_TEXTS: Final[Mapping[str, str]] = {
    "refused": "[Errno 111] Connection refused",
    "reset": "connection closed",
    "timeout": "timed out",
}
PORT: Final = 27017
"""The port that a member's address is shown with."""

_Labels = set[str]


def add_label(error: PyMongoError, label: str) -> None:
    """Add an error label."""
    _labels(error).add(label)


def remove_label(error: PyMongoError, label: str) -> None:
    """Take an error label away."""
    _labels(error).discard(label)


def copy_labels(source: PyMongoError, target: PyMongoError) -> None:
    """Give ``target`` the labels of ``source`` in place of its own."""
    target._error_labels = set(_labels(source))


def _labels(error: PyMongoError) -> _Labels:
    # PyMongo has no public way to change the labels of an error, and the driver's rules consist of doing that.
    labels: _Labels = error._error_labels
    return labels


def network_text(kind: str, member: str) -> str:
    """Return how PyMongo words a broken connection: ``refused``, ``reset`` or ``timeout``."""
    return f"{member}:{PORT}: {_TEXTS[kind]}{_CONFIGURED}"


def network_error(kind: str, member: str) -> ConnectionFailure:
    """Return what PyMongo raises for a connection that was ``refused``, ``reset``, or silent for too long."""
    text = network_text(kind, member)
    return NetworkTimeout(text) if kind == "timeout" else AutoReconnect(text)


def failure_document(error: BaseException) -> Mapping[str, Any]:
    """Return what PyMongo's command monitoring publishes for a command that failed with ``error``."""
    if isinstance(error, OperationFailure | NotPrimaryError):
        details = error.details
        if isinstance(details, Mapping):
            return details
    return {"errmsg": str(error), "errtype": type(error).__name__}


def check_reply(
    reply: Mapping[str, Any],
    *,
    allowable: Container[int | str] = (),
    concern_error: bool = False,
    from_cursor: bool = False,
) -> None:
    """Raise what PyMongo raises for a reply that tells of an error.

    ``allowable`` are codes that are none here; with ``concern_error`` a writeConcernError is one. The time-outs of a
    cursor's commands (``from_cursor``) are worded with the client's own.
    """
    if concern_error and "writeConcernError" in reply:
        raise_write_concern_error(_with_labels(reply["writeConcernError"], reply))
    if reply["ok"]:
        return
    code = reply.get("code")
    if code in allowable:
        return
    raise _error_of(reply, code, from_cursor=from_cursor)


def _error_of(reply: Mapping[str, Any], code: Any, *, from_cursor: bool) -> PyMongoError:
    message: str = reply["errmsg"]
    if code in NOT_PRIMARY_CODES:
        return NotPrimaryError(message, reply)
    if code == DUPLICATE_KEY:
        return DuplicateKeyError(message, code, reply, WIRE_VERSION)
    if code == _MAX_TIME_EXPIRED:
        return ExecutionTimeout(message + _CONFIGURED if from_cursor else message, code, reply, WIRE_VERSION)
    if code == _CURSOR_NOT_FOUND:
        return CursorNotFound(message, code, reply, WIRE_VERSION)
    return OperationFailure(message, code, reply, WIRE_VERSION)


def check_write_reply(reply: Mapping[str, Any]) -> None:
    """Raise for the writeErrors of a reply, else for its writeConcernError."""
    errors = reply.get("writeErrors")
    if errors:
        raise_write_error(errors)
    concern_error = concern_error_of(reply)
    if concern_error is not None:
        raise_write_concern_error(concern_error)


def concern_error_of(reply: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the writeConcernError of a reply, with the reply's error labels in it, or None."""
    concern_error = reply.get("writeConcernError")
    return None if not concern_error else _with_labels(concern_error, reply)


def _with_labels(concern_error: Mapping[str, Any], reply: Mapping[str, Any]) -> dict[str, Any]:
    labels = reply.get("errorLabels")
    return {**concern_error, "errorLabels": labels} if labels else dict(concern_error)


def raise_write_error(errors: Sequence[Mapping[str, Any]]) -> NoReturn:
    """Raise for the last of ``writeErrors``."""
    error = errors[-1]
    if error.get("code") == DUPLICATE_KEY:
        raise DuplicateKeyError(error["errmsg"], DUPLICATE_KEY, error)
    raise WriteError(error["errmsg"], error.get("code"), error)


def raise_write_concern_error(error: Mapping[str, Any]) -> NoReturn:
    """Raise for a writeConcernError; a time-out of the wait has a class of its own."""
    timed_out = error.get("code") == _MAX_TIME_EXPIRED or error.get("errInfo", {}).get("wtimeout")
    kind = WTimeoutError if timed_out else WriteConcernError
    raise kind(error["errmsg"], error.get("code"), error)


def label_retryable_write(error: PyMongoError) -> None:
    """Label an error of a retryable write: the server's own labels, and RetryableWriteError for a broken connection."""
    for label in _labels_of_server(error):
        add_label(error, label)
    if isinstance(error, ConnectionFailure) and not isinstance(error, NotPrimaryError):
        add_label(error, RETRYABLE_WRITE)


def _labels_of_server(error: PyMongoError) -> Sequence[str]:
    details: Any = None
    if isinstance(error, BulkWriteError):
        concern_errors = error.details["writeConcernErrors"]
        details = concern_errors[-1] if concern_errors else None
    elif isinstance(error, NotPrimaryError | OperationFailure):
        details = error.details
    return details.get("errorLabels", ()) if details else ()
