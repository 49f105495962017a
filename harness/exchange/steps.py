"""What operations of a file did to an object: the steps of the sequential models, from names and values of a file."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.checkers.model import Step
from harness.errors import unknown_name
from harness.exchange.comparable import comparable, shown
from harness.exchange.pairing import Imported
from harness.operation import Operation

_PAIR: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """An operation with its values made comparable; ``result`` counts only where ``ok``."""

    operation: Operation
    value: Any
    result: Any
    ok: bool

    @property
    def owner(self) -> Any:
        """Who acts, where the operation does not name it: the process."""
        return self.operation.process if self.value is None else self.value


class _UnfitError(Exception):
    """The values of an operation are none that its function can have."""


_Translate = Callable[[_Seen], Step]


def _read(seen: _Seen) -> Step:
    if seen.value is not None:
        raise _UnfitError(
            f"a read brings no value, and this one brought {shown(seen.value)}; "
            "where values are [key value], say --independent"
        )
    return Step("read", result=seen.result)


def _read_all(seen: _Seen) -> Step:
    if not seen.ok:
        return Step("read")
    if not isinstance(seen.result, tuple | frozenset):
        raise _UnfitError(f"a read of all elements returns a set or a vector, not {shown(seen.result)}")
    if isinstance(seen.result, tuple) and len(set(seen.result)) < len(seen.result):
        raise _UnfitError("a read of all elements returned one of them twice")
    return Step("read", result=frozenset(seen.result))


def _brings(kind: str) -> _Translate:
    """Return the translation of what brings a value, and returns it, ``true`` or nothing."""

    def translate(seen: _Seen) -> Step:
        if seen.ok and seen.result not in (None, seen.value, comparable(True)):
            raise _UnfitError(f"it brought {shown(seen.value)} and completed with {shown(seen.result)}")
        return Step(kind, seen.value)

    return translate


def _cas(seen: _Seen) -> Step:
    if not isinstance(seen.value, tuple) or len(seen.value) != _PAIR:
        raise _UnfitError(f"a compare-and-set brings [expected new], not {shown(seen.value)}")
    return Step("cas", seen.value, _succeeded(seen))


def _succeeded(seen: _Seen) -> bool:
    if seen.ok and seen.result == comparable(False):
        return False
    if seen.ok and seen.result not in (None, seen.value, comparable(True)):
        raise _UnfitError(f"it brought {shown(seen.value)} and completed with {shown(seen.result)}")
    return True


FUNCTIONS: Final[Mapping[str, Mapping[str, _Translate]]] = {
    "register": {"read": _read, "write": _brings("write")},
    "cas-register": {"read": _read, "write": _brings("write"), "cas": _cas},
}
"""The functions of each model, as files name them."""

SYNONYMS: Final[Mapping[str, str]] = {"r": "read", "w": "write", "compare-and-set": "cas"}


def step_of(imported: Imported, model: str) -> Callable[[Operation], Step]:
    """Return the function that says what an operation did to a ``model``.

    It raises HistoryError, with line and operation, for a function that the model does not have, and for values that
    the function cannot have; the function itself raises UsageError for an unknown model.
    """
    if model not in FUNCTIONS:
        raise unknown_name("model", model, FUNCTIONS)
    functions = FUNCTIONS[model]

    def step(operation: Operation) -> Step:
        translate = functions.get(SYNONYMS.get(operation.function, operation.function))
        if translate is None:
            raise imported.error(operation, f"a {model} knows {', '.join(functions)}, not {operation.function}")
        try:
            return translate(_seen(operation))
        except _UnfitError as error:
            raise imported.completion_error(operation, str(error)) from error

    return step


def _seen(operation: Operation) -> _Seen:
    return _Seen(
        operation=operation,
        value=comparable(operation.arguments.get("value")),
        result=comparable(operation.result),
        ok=operation.status == "ok",
    )


def key_of(imported: Imported) -> Callable[[Operation], Hashable]:
    """Return the function that names the object of an operation: its key, or None in a history without keys.

    It raises HistoryError for an operation without a key where others have one: what it acted on is unknown.
    """
    keyed = any("key" in operation.arguments for operation in imported.history.operations)

    def key(operation: Operation) -> Hashable:
        if keyed and "key" not in operation.arguments:
            raise imported.error(operation, "it has no key, and others have one")
        named: Hashable = comparable(operation.arguments.get("key"))
        return named

    return key


def refuse_unread(imported: Imported) -> None:
    """Raise HistoryError for an operation whose arguments are not one value, with a key or without."""
    for operation in imported.history.operations:
        if not operation.arguments.keys() <= {"key", "value"}:
            names = ", ".join(operation.arguments)
            raise imported.error(
                operation, f"its arguments are {names}; a model judges operations with a `value`, and a `key` or none"
            )
