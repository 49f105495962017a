"""The settings under which a pattern is judged: concerns, routing, retries and what the set was given.

Written ``key=value,key=value`` on the command line, with the names of PATTERNS.md. What is not written stays at
the default of the server and of PyMongo.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from harness.errors import UsageError, unknown_name

DEFAULT = "default"
"""The text of settings that leave everything at its default."""

RetryMode = Literal["driver", "none", "application"]

READ_CONCERN_LEVELS = ("local", "available", "majority", "linearizable", "snapshot")
READ_PREFERENCES = ("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest")
RETRY_MODES = ("driver", "none", "application")
APPLICATION_TRIES = 3
"""How often the workload calls a pattern in all under ``retry=application``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One row of the settings matrix. None means: not set, the default applies."""

    w: int | str | None = None
    j: bool | None = None
    wtimeout_ms: int | None = None
    read_concern_level: str | None = None
    read_preference: str | None = None
    retry_writes: bool | None = None
    retry_reads: bool | None = None
    causal: bool | None = None
    unique_index: bool | None = None
    journal_default: bool | None = None
    retry: RetryMode = "driver"
    client_clock_skew_ms: int = 0

    @property
    def driver_retries_writes(self) -> bool:
        """Whether the driver retries writes: an explicit ``retryWrites`` wins over ``retry``."""
        return self.retry == "driver" if self.retry_writes is None else self.retry_writes

    @property
    def driver_retries_reads(self) -> bool:
        """Whether the driver retries reads: an explicit ``retryReads`` wins over ``retry``."""
        return self.retry == "driver" if self.retry_reads is None else self.retry_reads

    @property
    def application_tries(self) -> int:
        """How often the workload calls the pattern in all when the outcome was ambiguous."""
        return APPLICATION_TRIES if self.retry == "application" else 1

    def text(self) -> str:
        """Return the canonical text: what differs from the default, in the order of the reference."""
        parts = []
        for key, (name, _) in _KEYS.items():
            value = getattr(self, name)
            if value != _DEFAULTS[name]:
                parts.append(f"{key}={str(value).lower() if isinstance(value, bool) else value}")
        return ",".join(parts) or DEFAULT

    def includes(self, other: Settings) -> bool:
        """Whether everything that ``other`` sets is set to the same value here."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name, default in _DEFAULTS.items()
            if getattr(other, name) != default
        )


def _boolean(key: str, text: str) -> bool:
    if text.lower() in {"true", "1", "yes", "on"}:
        return True
    if text.lower() in {"false", "0", "no", "off"}:
        return False
    raise UsageError(f"setting {key}={text!r} is not a boolean", next_step=f"write {key}=true or {key}=false")


def _whole_number(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"setting {key}={text!r} is not a whole number") from None


def _acknowledgement(key: str, text: str) -> int | str:
    if text == "majority":
        return text
    number = _whole_number(key, text)
    if not 0 <= number <= 7:  # noqa: PLR2004 - a replica set has at most seven voting members
        raise UsageError(f"setting {key}={text!r} is out of range", next_step="write w=majority or w=0 to w=7")
    return number


def _one_of(choices: tuple[str, ...]) -> Callable[[str, str], str]:
    def parse(key: str, text: str) -> str:
        if text not in choices:
            raise unknown_name(f"value of {key}", text, choices)
        return text

    return parse


_KEYS: Mapping[str, tuple[str, Callable[[str, str], Any]]] = MappingProxyType(
    {
        "w": ("w", _acknowledgement),
        "j": ("j", _boolean),
        "wtimeoutMS": ("wtimeout_ms", _whole_number),
        "readConcernLevel": ("read_concern_level", _one_of(READ_CONCERN_LEVELS)),
        "readPreference": ("read_preference", _one_of(READ_PREFERENCES)),
        "retryWrites": ("retry_writes", _boolean),
        "retryReads": ("retry_reads", _boolean),
        "causal": ("causal", _boolean),
        "uniqueIndex": ("unique_index", _boolean),
        "journalDefault": ("journal_default", _boolean),
        "retry": ("retry", _one_of(RETRY_MODES)),
        "clockSkewMS": ("client_clock_skew_ms", _whole_number),
    }
)
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Settings)}

KEYS: tuple[str, ...] = tuple(_KEYS)
"""All keys of ``--setting``, in the order of the reference."""


def parse_settings(text: str) -> Settings:
    """Return the settings written in ``text`` (``w=majority,readConcernLevel=majority``; ``default`` for none).

    Raises UsageError, with the near matches, for an unknown key or value and for a key written twice.
    """
    values: dict[str, Any] = {}
    if text.strip() in {"", DEFAULT}:
        return Settings()
    for part in text.split(","):
        key, separator, value = (piece.strip() for piece in part.partition("="))
        if key not in _KEYS:
            raise unknown_name("setting", key, _KEYS)
        if not separator or not value:
            raise UsageError(f"setting {key!r} has no value", next_step=f"write {key}=VALUE")
        name, parse = _KEYS[key]
        if name in values:
            raise UsageError(f"setting {key!r} is written twice in {text!r}")
        values[name] = parse(key, value)
    return Settings(**values)
