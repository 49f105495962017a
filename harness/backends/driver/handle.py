"""What all objects of the pattern API share: a PyMongo object behind, a recorder, and methods that forward to it.

A method's signature has one home, the protocol in ``harness.interfaces.pattern_api``; the functions below make from a
protocol's method one that calls PyMongo's synchronous method of the same name.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, cast

from harness.backends.driver.recorder import Recorder
from harness.interfaces.pattern_api import Document

if TYPE_CHECKING:
    from bson import CodecOptions
    from pymongo.read_concern import ReadConcern
    from pymongo.read_preferences import _ServerMode as ReadPreference
    from pymongo.write_concern import WriteConcern

MethodT = TypeVar("MethodT", bound=Callable[..., Any])
ValueT = TypeVar("ValueT")


class Mirrored(Generic[ValueT]):
    """A read-only attribute that is the one of the same name of PyMongo's object."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, handle: Any, owner: type | None = None) -> ValueT:
        if handle is None:
            return cast("ValueT", self)
        value: ValueT = getattr(handle._target, self._name)
        return value


class Handle:
    """An object of the pattern API over ``target``, PyMongo's own, whose calls are recorded as ``label.method``."""

    __slots__ = ("_label", "_recorder", "_target")

    def __init__(self, target: Any, recorder: Recorder | None, label: str) -> None:
        self._target = target
        self._recorder = recorder
        self._label = label

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._target!r})"

    def _call(self, name: str, function: Callable[..., Any], *args: Any, cleanup: bool = False) -> Any:
        if self._recorder is None:
            return function(*args)
        return self._recorder.call(name, function, args, cleanup=cleanup)


class IteratedHandle(Handle):
    """A cursor or stream: read with ``async for``, given up with ``async with``."""

    __slots__ = ()

    async def next(self) -> Document:
        """Return the next document. Raises StopAsyncIteration at the end."""
        raise NotImplementedError

    async def close(self) -> None:
        """Give it up, on the server too; done even when cancelled."""
        self._call(self._label, self._target.close, cleanup=True)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Document:
        return await self.next()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.close()


class NamespaceHandle(Handle):
    """A client, database or collection: equal where PyMongo's are, with options and with parts by name."""

    __slots__ = ()

    codec_options: Mirrored[CodecOptions[Any]] = Mirrored()
    read_preference: Mirrored[ReadPreference] = Mirrored()
    write_concern: Mirrored[WriteConcern] = Mirrored()
    read_concern: Mirrored[ReadConcern] = Mirrored()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamespaceHandle) and self._target == other._target

    def __hash__(self) -> int:
        return hash(self._target)

    def _check_part(self, name: str) -> None:
        """Raise AttributeError where ``name`` is no part's name, but something of PyMongo that is not offered here."""
        if name.startswith("_"):
            raise AttributeError(name)
        if hasattr(type(self._target), name):
            raise AttributeError(
                f"the pattern API has no {type(self).__name__}.{name}; for a part of that name write [{name!r}]"
            )


class TruthlessHandle(NamespaceHandle):
    """A database or collection: to ask whether it is true is a mistake, in PyMongo too."""

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        raise NotImplementedError(f"a {type(self).__name__} has no truth value: compare it with None")


def forwarded(
    method: MethodT, wrap: Callable[[Any, Any], Any] | None = None, *, fetch: bool = False, cleanup: bool = False
) -> MethodT:
    """Return a coroutine method that makes the same call on PyMongo's object, which blocks right there.

    ``wrap(self, result)`` turns PyMongo's result into the pattern API's. With ``fetch`` the call is recorded under the
    handle's label alone: a cursor goes on with the call that made it. A ``cleanup`` call is made even when cancelled.
    """
    name = method.__name__

    @functools.wraps(method)
    async def call(self: Handle, *args: Any, **kwargs: Any) -> Any:
        function = getattr(self._target, name)
        args, kwargs = _unwrapped(args, kwargs)
        if self._recorder is None:
            result = function(*args, **kwargs)
        else:
            label = self._label if fetch else f"{self._label}.{name}"
            result = self._recorder.call(label, function, args, kwargs, cleanup=cleanup)
        return result if wrap is None else wrap(self, result)

    return cast("MethodT", call)


def plain_forwarded(method: MethodT, wrap: Callable[[Any, Any], Any] | None = None) -> MethodT:
    """Return a plain method that makes the same call on PyMongo's object; nothing goes over the wire."""
    name = method.__name__

    @functools.wraps(method)
    def call(self: Handle, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = _unwrapped(args, kwargs)
        result = getattr(self._target, name)(*args, **kwargs)
        return result if wrap is None else wrap(self, result)

    return cast("MethodT", call)


def itself(self: Any, _result: Any) -> Any:
    """Wrap the result of a method that returns its own object."""
    return self


def _unwrapped(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for argument in args:
        if isinstance(argument, Handle):
            args = tuple(each._target if isinstance(each, Handle) else each for each in args)
            break
    for name, argument in kwargs.items():
        if isinstance(argument, Handle):
            kwargs[name] = argument._target
    return args, kwargs
