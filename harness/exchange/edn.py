"""EDN, the data notation of Clojure: every value read exactly, with the line of what does not parse, and written back.

Vectors become lists, lists :class:`EdnList`, sets :class:`EdnSet` (in the order of the file), maps dicts, keywords
:class:`Keyword`, symbols :class:`Symbol`, characters :class:`Character`, tagged values :class:`Tagged`. Source: the EDN
specification (edn-format/edn) and Clojure's reader for ``##Inf``, ``N`` and ``M``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from harness.errors import HistoryError

MAX_DEPTH = 100
"""Nesting beyond this is refused: no history needs it, and reading it would exhaust the stack."""

_MAX_DIGITS = 4_000


class Keyword(str):
    """A keyword, without its colon: ``:read`` is ``Keyword("read")``."""

    __slots__ = ()


class Symbol(str):
    """A symbol: a name that stands for itself."""

    __slots__ = ()


class Character(str):
    r"""A character: ``\a``."""

    __slots__ = ()


class EdnList(tuple[Any, ...]):
    """A list in round brackets."""

    __slots__ = ()


class EdnSet(tuple[Any, ...]):
    """A set, its elements in the order of the file."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value with a tag: ``#inst "2026-01-01"`` is ``Tagged("inst", "2026-01-01")``."""

    tag: str
    value: Any


_BLANK: Final = re.compile(r"(?:[\s,]+|;[^\n]*)*")
_ATOM: Final = re.compile(r"[^\s,()\[\]{}\";\\#@^`~]+")
_TAG: Final = re.compile(r"[A-Za-z][^\s,()\[\]{}\";\\@^`~]*")
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_CHARACTER: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|[a-z]{2,}|[^\s])")
_INTEGER: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]*)N?", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?M?", re.ASCII)
_NAME: Final = re.compile(r"(?:[^\s,()\[\]{}\";\\#@^`~:/][^\s,()\[\]{}\";\\@^`~/]*)(?:/[^\s,()\[\]{}\";\\@^`~/]+)?")
_CLOSING: Final = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_ESCAPES: Final = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "b": "\b", "f": "\f"}
_CHARACTER_NAMES: Final = {"newline": "\n", "return": "\r", "space": " ", "tab": "\t"}
_CONSTANTS: Final[dict[str, Any]] = {"nil": None, "true": True, "false": False}
_SYMBOLIC: Final = {"Inf": math.inf, "-Inf": -math.inf, "NaN": math.nan}


def line_of(text: str, position: int) -> int:
    """Return the number of the line, from 1, that holds a position of ``text``."""
    return text.count("\n", 0, position) + 1


class Reader:
    """Reads the values of one text, one after the other; ``name`` is what errors call the text.

    ``first_line`` is the number of the text's first line, where it is a part of a file.
    """

    __slots__ = ("_first_line", "_name", "position", "text")

    def __init__(self, text: str, name: str, *, first_line: int = 1) -> None:
        self.text = text
        self.position = 0
        self._name = name
        self._first_line = first_line

    def error(self, problem: str, position: int | None = None) -> HistoryError:
        """Return the error that says what is wrong on which line."""
        line = self.line(self.position if position is None else position)
        return HistoryError(
            f"{self._name}, line {line}: {problem}", next_step="repair that line, or export the history again"
        )

    def line(self, position: int) -> int:
        """Return the number of the line that holds a position."""
        return line_of(self.text, position) + self._first_line - 1

    def skip(self) -> None:
        """Go on to the next value, over blanks, commas, comments and discarded values."""
        while True:
            match = _BLANK.match(self.text, self.position)
            self.position = match.end() if match else self.position
            if not self.text.startswith("#_", self.position):
                return
            self.position += 2
            self.value(1)

    def at_end(self) -> bool:
        """Whether nothing is left to read."""
        self.skip()
        return self.position >= len(self.text)

    def value(self, depth: int = 0) -> Any:
        """Read the next value. Raises HistoryError, with the line, where there is none."""
        if depth > MAX_DEPTH:
            raise self.error(f"values are nested more than {MAX_DEPTH} deep")
        self.skip()
        if self.position >= len(self.text):
            raise self.error("the text ends where a value should follow: it was cut")
        match self.text[self.position]:
            case "[":
                result: Any = self.items("[", depth)
            case "(":
                result = EdnList(self.items("(", depth))
            case "{":
                result = self._map(depth)
            case '"':
                result = self._string()
            case "\\":
                result = self._character()
            case "#":
                result = self._dispatch(depth)
            case _:
                result = self._atom()
        return result

    def items(self, opening: str, depth: int) -> list[Any]:
        """Read the values between a bracket, which comes next, and the one that closes it."""
        return [value for _, value in self.each_item(opening, depth)]

    def each_item(self, opening: str, depth: int) -> Iterator[tuple[int, Any]]:
        """Yield the values between brackets, each with its position."""
        start, closing = self.position, _CLOSING[opening]
        self.position += len(opening)
        while True:
            self.skip()
            if self.position >= len(self.text):
                line = self.line(start)
                raise self.error(f"the text ends inside the {opening!r} that opens on line {line}: it was cut")
            if self.text[self.position] == closing:
                self.position += 1
                return
            position = self.position
            yield position, self.value(depth + 1)

    def _map(self, depth: int) -> dict[Any, Any]:
        start = self.position
        items = self.items("{", depth)
        if len(items) % 2:
            raise self.error("a map has a key without a value", start)
        try:
            pairs = {hashable(key): value for key, value in zip(items[::2], items[1::2], strict=True)}
        except TypeError as error:
            raise self.error(f"a map has a key that cannot be one: {error}", start) from error
        if len(pairs) * 2 != len(items):
            raise self.error("a map has the same key twice", start)
        return pairs

    def _string(self) -> str:
        match = _STRING.match(self.text, self.position)
        if match is None:
            raise self.error("a string is not closed: the text was cut, or a quote is missing")
        body, start = match.group(1), self.position
        self.position = match.end()
        if "\\" not in body:
            return body
        try:
            text = _ESCAPE.sub(_unescape, body)
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except (KeyError, UnicodeError) as error:
            raise self.error(f"a string has an escape that EDN does not know ({error})", start) from error

    def _character(self) -> Character:
        match = _CHARACTER.match(self.text, self.position)
        if match is None:
            raise self.error("a character is missing after the backslash")
        name, start = match.group(1), self.position
        self.position = match.end()
        if len(name) == 1:
            return Character(name)
        if name[0] == "u" and len(name) == len("u0000") and not "d800" <= name[1:].lower() <= "dfff":
            return Character(chr(int(name[1:], 16)))
        if name not in _CHARACTER_NAMES:
            raise self.error(f"no character has the name \\{name}", start)
        return Character(_CHARACTER_NAMES[name])

    def _dispatch(self, depth: int) -> Any:
        start, following = self.position, self.text[self.position + 1 : self.position + 2]
        if following == "{":
            elements = EdnSet(self.items("#{", depth))
            if _has_repeats(elements):
                raise self.error("a set has the same element twice", start)
            return elements
        if following == "#":
            self.position += 2
            name = self._token()
            if name not in _SYMBOLIC:
                raise self.error(f"##{name} is no number", start)
            return _SYMBOLIC[name]
        self.position += 1
        match = _TAG.match(self.text, self.position)
        if match is None:
            raise self.error("a tag is missing after #", start)
        self.position = match.end()
        return Tagged(match.group(0), self.value(depth + 1))

    def _token(self) -> str:
        match = _ATOM.match(self.text, self.position)
        if match is None:
            raise self.error(f"unexpected {self.text[self.position : self.position + 1]!r}")
        self.position = match.end()
        return match.group(0)

    def _atom(self) -> Any:
        start = self.position
        word = self._token()
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        if word[0] == ":":
            if not _NAME.fullmatch(word, 1):
                raise self.error(f"{word!r} is no keyword", start)
            return Keyword(word[1:])
        if word[0].isdigit() or (word[0] in "+-" and word[1:2].isdigit()):
            return self._number(word, start)
        if word != "/" and not _NAME.fullmatch(word):
            raise self.error(f"{word!r} is no symbol", start)
        return Symbol(word)

    def _number(self, token: str, start: int) -> Any:
        if len(token) <= _MAX_DIGITS and _INTEGER.fullmatch(token):
            return int(token.removesuffix("N"))
        if len(token) <= _MAX_DIGITS and _DECIMAL.fullmatch(token) and not token.removesuffix("M").isdigit():
            return _decimal(token) if token[-1] == "M" else float(token)
        if token[-1] == "M" and _DECIMAL.fullmatch(token) and len(token) <= _MAX_DIGITS:
            return _decimal(token)
        raise self.error(f"{token[:40]!r} is no number", start)


def _decimal(token: str) -> Decimal:
    try:
        return Decimal(token[:-1])
    except InvalidOperation as error:
        raise HistoryError(f"{token[:40]!r} is no decimal number") from error


def _unescape(match: re.Match[str]) -> str:
    name = match.group(1)
    return chr(int(name[1:], 16)) if len(name) > 1 else _ESCAPES[name]


def _has_repeats(elements: EdnSet) -> bool:
    try:
        if len(set(elements)) == len(elements):
            return False
    except TypeError:
        pass
    texts = [write_value(element) for element in elements]
    return len(set(texts)) < len(texts)


def hashable(value: Any) -> Any:
    """Return ``value`` as it may stand as the key of a map: lists as tuples. Raises TypeError for maps."""
    if isinstance(value, list):
        return tuple(hashable(part) for part in value)
    hash(value)
    return value


def write_value(value: Any) -> str:
    """Return a value as EDN text on one line. Raises HistoryError for a value that EDN cannot hold."""
    for kinds, write in _WRITERS:
        if isinstance(value, kinds):
            return write(value)
    raise HistoryError(f"a value of type {type(value).__name__} cannot be written as EDN: {value!r}")


def _write_map(value: dict[Any, Any]) -> str:
    return "{" + ", ".join([f"{write_value(key)} {write_value(part)}" for key, part in value.items()]) + "}"


def _write_items(value: Any) -> str:
    body = " ".join([write_value(part) for part in value])
    if isinstance(value, EdnSet):
        return f"#{{{body}}}"
    return f"({body})" if isinstance(value, EdnList) else f"[{body}]"


def _write_text(value: str) -> str:
    if isinstance(value, Keyword):
        if not is_keyword(value):
            raise HistoryError(f"{str(value)!r} cannot be the name of a keyword")
        return f":{value}"
    if isinstance(value, Symbol):
        return str(value)
    if isinstance(value, Character):
        return f"\\u{ord(value):04x}" if ord(value) <= ord(" ") else f"\\{value}"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"'


def _write_float(value: float) -> str:
    if math.isnan(value):
        return "##NaN"
    if math.isinf(value):
        return "##Inf" if value > 0 else "##-Inf"
    return repr(value)


_WRITERS: Final[tuple[tuple[Any, Callable[[Any], str]], ...]] = (
    (type(None), lambda _: "nil"),
    (bool, lambda value: "true" if value else "false"),
    (str, _write_text),
    (int, str),
    (float, _write_float),
    (dict, _write_map),
    ((list, tuple), _write_items),
    ((set, frozenset), lambda value: "#{" + " ".join(sorted(map(write_value, value))) + "}"),
    (Tagged, lambda value: f"#{value.tag} {write_value(value.value)}"),
    (Decimal, lambda value: f"{value}M"),
)
"""What writes a value, by its type; a boolean is a whole number to Python, and stands before it."""


def is_keyword(name: str) -> bool:
    """Whether a keyword can have that name."""
    return _NAME.fullmatch(name) is not None
