"""Whether a setting reached the database at all: a setting that no relevant command carried was never tried.

The record keeps every command as it went over the wire, so what a pattern set itself shows there, whatever the
handle that it was given had been told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.history import History
from harness.operation import Attempt
from harness.settings import Settings

WRITE_COMMANDS = frozenset({"insert", "update", "delete", "findAndModify", "commitTransaction"})
READ_COMMANDS = frozenset({"find", "aggregate", "count", "distinct"})


def unreached_setting(history: History, settings: Settings) -> str:
    """Return why ``settings`` were not tried by this run, or an empty text where each reached some command."""
    attempts = [attempt for operation in history.operations for attempt in operation.attempts]
    for key, reached in _expectations(settings):
        if not any(reached(attempt) for attempt in attempts):
            return f"{key} reached no relevant command: the pattern sets its own, or has no such command"
    return ""


def _expectations(settings: Settings) -> Iterator[tuple[str, Callable[[Attempt], bool]]]:
    for key, field, value in (
        ("w", "w", settings.w),
        ("j", "j", settings.j),
        ("wtimeoutMS", "wtimeout", settings.wtimeout_ms),
    ):
        if value is not None:
            yield f"{key}={value}", _write_concern_has(field, value)
    if settings.read_concern_level is not None:
        yield f"readConcernLevel={settings.read_concern_level}", _read_concern_is(settings.read_concern_level)
    if settings.read_preference not in {None, "primary"}:
        yield f"readPreference={settings.read_preference}", _read_preference_is(str(settings.read_preference))


def _write_concern_has(field: str, value: Any) -> Callable[[Attempt], bool]:
    def reached(attempt: Attempt) -> bool:
        concern = attempt.request.get("writeConcern")
        return (
            attempt.command in WRITE_COMMANDS
            and isinstance(concern, Mapping)
            and type(concern.get(field)) is type(value)
            and concern.get(field) == value
        )

    return reached


def _read_concern_is(level: str) -> Callable[[Attempt], bool]:
    def reached(attempt: Attempt) -> bool:
        concern = attempt.request.get("readConcern")
        return isinstance(concern, Mapping) and concern.get("level") == level

    return reached


def _read_preference_is(mode: str) -> Callable[[Attempt], bool]:
    def reached(attempt: Attempt) -> bool:
        preference = attempt.request.get("$readPreference")
        return attempt.command in READ_COMMANDS and isinstance(preference, Mapping) and preference.get("mode") == mode

    return reached
