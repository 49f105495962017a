"""Words and numbers as a reader writes them, and values of unknown origin made harmless to read.

Nothing here escapes markup: each renderer does that for its own format, on the texts that these functions return.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from harness.operation import Operation

VALUE_CHARACTERS = 160
"""How much of one value is shown in a sentence."""
STORY_CHARACTERS = 600
DOCUMENT_CHARACTERS = 4_000
"""How much of one command or reply is shown."""

# Controls, separators, surrogates and the marks that reorder text: shown as escapes, so that a value can neither
# break a line or a format nor show something else than it is.
_UNSEEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: str, *, keep: str = "") -> str:
    """Return ``text`` with every character that does not show, except those in ``keep``, written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep or unicodedata.category(c) not in _UNSEEN_CATEGORIES else _escape(c) for c in text)


def _escape(character: str) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character, f"\\u{ord(character):04x}")


def sentence(text: str, limit: int = STORY_CHARACTERS, *, keep: str = "") -> str:
    """Return a text that may hold values from a database visible and of bounded length, saying what was left out."""
    hidden = len(text) - limit
    shown = visible(text[:limit], keep=keep)
    return shown if hidden <= 0 else f"{shown}… ({hidden:,} more characters)"


def value(content: Any, limit: int = VALUE_CHARACTERS) -> str:
    """Return one value as compact JSON, visible and of bounded length."""
    return sentence(msgspec.json.encode(content).decode("utf-8", "replace"), limit)


def document(content: Any, limit: int = DOCUMENT_CHARACTERS) -> str:
    """Return a command or reply as indented JSON, visible and of bounded length."""
    text = msgspec.json.format(msgspec.json.encode(content), indent=2).decode("utf-8", "replace")
    return sentence(text, limit, keep="\n")


def call(operation: Operation, limit: int = VALUE_CHARACTERS) -> str:
    """Return the operation as it was asked for: ``claim(order=7, by="c2")``."""
    arguments = ", ".join(f"{sentence(name, 40)}={value(content, limit)}" for name, content in _items(operation))
    return f"{sentence(operation.function, 80)}({arguments})"


def _items(operation: Operation) -> Iterable[tuple[str, Any]]:
    return operation.arguments.items()


def ending(operation: Operation, limit: int = VALUE_CHARACTERS) -> str:
    """Return what the caller got, in words."""
    if operation.outcome == "returned":
        return f"returned {value(operation.result, limit)}"
    if operation.error is not None:
        name = operation.error.types[0] if operation.error.types else "an error"
        return f"{operation.outcome} {sentence(name, 80)}: {sentence(operation.error.message, limit)}"
    return {"unfinished": "had not ended when the record did", "crashed": "its client process died"}.get(
        operation.outcome, operation.outcome
    )


def seconds(microseconds: int) -> str:
    """Return a time of the run: ``12.402 s``."""
    return f"{microseconds / 1e6:.3f} s"


def duration(microseconds: float) -> str:
    """Return a span with the unit that fits: ``840 µs``, ``12.4 ms``, ``1.10 s``."""
    for limit, factor, decimals, unit in ((1_000, 1.0, 0, "µs"), (10_000, 1e3, 1, "ms"), (1_000_000, 1e3, 0, "ms")):
        if microseconds < limit:
            return f"{microseconds / factor:.{decimals}f} {unit}"
    return f"{microseconds / 1e6:.2f} s"


def number(count: float) -> str:
    """Return a count with thousands apart."""
    return f"{count:,.0f}"


def count_of(count: int, noun: str, plural: str = "") -> str:
    """Return ``1 run`` or ``3 runs``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(parts: Sequence[str], *, limit: int = 4) -> str:
    """Return ``a, b and c``, with the number of those beyond ``limit``."""
    shown = list(parts[:limit])
    if len(parts) > limit:
        shown.append(f"{len(parts) - limit} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def kind_words(kind: str) -> str:
    """Return the name of an anomaly as prose: ``lost-write`` becomes ``lost write``."""
    return sentence(kind.replace("-", " ").replace("_", " "), 80)


def fault_words(fault: str) -> str:
    """Return the fault of a cell as the end of a sentence."""
    return "without faults" if fault == "none" else f"with {fault}"


def slug(*parts: str) -> str:
    """Return an anchor made of letters, digits, hyphens and underscores alone."""
    return "-".join(re.sub(r"[^a-zA-Z0-9_]+", "-", part).strip("-") or "x" for part in parts)[:120]
