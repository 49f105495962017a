"""Regular expressions of filters: PCRE as mongod compiles it, run by Python's ``re`` where the two agree."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from bson.regex import Regex

from harness.sim.documents.errors import DocumentError, UnsupportedOperator

INVALID_REGEX: Final = 51091
INVALID_REGEX_OPTION: Final = 51108

_FLAGS_BY_LETTER: Final = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "u": re.UNICODE}

# What PCRE knows and Python reads otherwise or not at all; a wrong match would be worse than none.
_PCRE_ONLY: Final = re.compile(r"\[\[:|\\[zZhHRQEKGpPXNVgko]|\(\?(?:[|&+'<](?![=!])|P[>=]|\d|R|C)|\(\*|\\[1-9][0-9]")

_PATTERNS_REMEMBERED: Final = 1024


def compile_regex(pattern: Regex[Any]) -> re.Pattern[str]:
    """Return a pattern that searches as mongod's would.

    Raises DocumentError (51091) for an invalid expression, UnsupportedOperator for syntax that only PCRE has.
    """
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode()
    return _compiled(source, pattern.flags & (re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE))


def regex_with_options(source: str, options: str) -> Regex[str]:
    """Return the regular expression of ``$regex`` and ``$options``; raises DocumentError (51108) for a letter."""
    flags = 0
    for letter in options:
        if letter not in _FLAGS_BY_LETTER:
            raise DocumentError(INVALID_REGEX_OPTION, f" invalid flag in regex options: {letter}")
        flags |= _FLAGS_BY_LETTER[letter]
    return Regex(source, flags)


@lru_cache(maxsize=_PATTERNS_REMEMBERED)
def _compiled(source: str, flags: int) -> re.Pattern[str]:
    if _PCRE_ONLY.search(source):
        raise UnsupportedOperator(f"the PCRE syntax of /{source}/", "a regular expression")
    # PCRE's \w, \d and \s know ASCII alone, its case folding all of Unicode; Python can do either, not both.
    if not flags & re.IGNORECASE or source.isascii():
        flags |= re.ASCII
    try:
        return re.compile(source, flags)
    except re.error as error:
        raise DocumentError(INVALID_REGEX, f"Regular expression is invalid: {error.msg}") from error
