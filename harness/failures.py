"""From PyMongo's exceptions and failure documents to :class:`~harness.operation.Failure` records."""

from __future__ import annotations

import builtins
import functools
import sysconfig
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bson
import pymongo
from pymongo import errors

from harness.journal import plain
from harness.operation import Failure
from harness.status import STATE_CHANGE_CODES

LABELS = (
    "TransientTransactionError",
    "UnknownTransactionCommitResult",
    "RetryableWriteError",
    "NoWritesPerformed",
    "ResumableChangeStreamError",
    "NonResumableChangeStreamError",
    "SystemOverloadedError",
    "RetryableError",
)
"""The error labels of servers and drivers; PyMongo can be asked for a label, not for all of them."""

_ROOTS = {object, Exception, BaseException}
_TYPE_BY_CODE: dict[int, type[errors.PyMongoError]] = {
    **dict.fromkeys(STATE_CHANGE_CODES, errors.NotPrimaryError),
    11000: errors.DuplicateKeyError,
    50: errors.ExecutionTimeout,
    43: errors.CursorNotFound,
}
_WTIMEOUT_CODE = 64


def failure_of(error: BaseException) -> Failure:
    """Return the record of an exception, as the driver or the pattern raised it."""
    has_label = getattr(error, "has_error_label", None)
    details = getattr(error, "details", None)
    code = getattr(error, "code", None)
    if code is None and isinstance(details, Mapping):
        code = details.get("code")
    return Failure(
        types=type_names(type(error)),
        message=str(error),
        code=code if isinstance(code, int) else None,
        labels=tuple(label for label in LABELS if has_label(label)) if has_label else (),
        answered=not isinstance(error, errors.ConnectionFailure) or isinstance(error, errors.NotPrimaryError),
        reply=_plain_document(details),
        where=where(error),
    )


def failure_of_attempt(document: Any) -> Failure:
    """Return the record of a failed command from the failure document of PyMongo's monitoring.

    A server's answer has ``ok``; a writeConcernError, which PyMongo hands over bare, has a code alone and is put back
    where the server had it; anything else is a network error or time-out of the driver: there was no answer.
    """
    if not isinstance(document, Mapping):
        return Failure(types=("PyMongoError",), message=str(document), answered=False)
    message = str(document.get("errmsg", ""))
    code = document.get("code")
    if "ok" not in document and not isinstance(code, int):
        types = type_names(_type_named(str(document.get("errtype", ""))))
        return Failure(types=types, message=message, answered=False)
    bare_concern_error = "ok" not in document
    reply = {"ok": 1, "writeConcernError": document} if bare_concern_error else document
    return Failure(
        types=type_names(_type_of_answer(code, bare_concern_error)),
        message=message,
        code=code if isinstance(code, int) else None,
        labels=tuple(document.get("errorLabels", ())),
        reply=_plain_document({name: value for name, value in reply.items() if name != "$clusterTime"}),
    )


def type_names(kind: type[Any]) -> tuple[str, ...]:
    """Return the class names of an exception type, most special first, without the roots that all share."""
    return tuple(base.__name__ for base in kind.__mro__ if base not in _ROOTS)


def where(error: BaseException) -> str:
    """Return ``file:line`` of the innermost frame that is neither the harness's, the driver's nor Python's own."""
    innermost: tuple[str, int] | None = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        name = frame.f_code.co_filename
        if not _is_machinery(name):
            innermost = (name, line)
    return "" if innermost is None else f"{_short(Path(innermost[0]))}:{innermost[1]}"


def _type_named(name: str) -> type:
    kind = getattr(errors, name, None) or getattr(builtins, name, None)
    return kind if isinstance(kind, type) else errors.ConnectionFailure


def _type_of_answer(code: Any, concern_error: bool) -> type:
    if concern_error:
        return errors.WTimeoutError if code == _WTIMEOUT_CODE else errors.WriteConcernError
    return _TYPE_BY_CODE.get(code, errors.OperationFailure)


def _plain_document(details: Any) -> dict[str, Any] | None:
    return plain(details) if isinstance(details, Mapping) else None


_HARNESS = Path(__file__).resolve().parent
_SCENARIOS_OF_WHEEL = _HARNESS / "_scenarios"
_LIBRARIES = (Path(pymongo.__file__).resolve().parent, Path(bson.__file__).resolve().parent)
_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()


@functools.cache
def _is_machinery(name: str) -> bool:
    path = Path(name)
    if not path.is_absolute():
        return str(path).startswith("<")
    resolved = path.resolve()
    if resolved.is_relative_to(_SCENARIOS_OF_WHEEL):
        return False
    if any(resolved.is_relative_to(library) for library in (_HARNESS, *_LIBRARIES)):
        return True
    return resolved.is_relative_to(_STANDARD_LIBRARY) and "site-packages" not in resolved.parts


def _short(path: Path) -> str:
    working_directory = Path.cwd()
    return str(path.relative_to(working_directory) if path.is_relative_to(working_directory) else path)
