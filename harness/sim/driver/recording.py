"""How a method of the pattern API becomes a recorded database call."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast, overload

MethodT = TypeVar("MethodT", bound=Callable[..., Awaitable[Any]])


@overload
def recorded(method: MethodT, /) -> MethodT: ...


@overload
def recorded(*, fetch: bool = False, cleanup: bool = False) -> Callable[[MethodT], MethodT]: ...


def recorded(method: Any = None, /, *, fetch: bool = False, cleanup: bool = False) -> Any:
    """Let the coroutine method be recorded as ``label.method`` of its object's ``_recorder`` and ``_label``.

    With ``fetch`` it is recorded under the label alone: a cursor goes on with the call that made it. A ``cleanup`` call
    is made even when the client was told to end.
    """
    if method is None:
        return functools.partial(_recorded, fetch=fetch, cleanup=cleanup)
    return _recorded(method, fetch=fetch, cleanup=cleanup)


def _recorded(method: MethodT, *, fetch: bool, cleanup: bool) -> MethodT:
    suffix = "" if fetch else f".{method.__name__}"

    @functools.wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        recorder = self._recorder
        if recorder is None:
            return await method(self, *args, **kwargs)
        opened = recorder.open(self._label + suffix, cleanup=cleanup)
        if opened is None:
            return await method(self, *args, **kwargs)
        try:
            result = await method(self, *args, **kwargs)
        except BaseException as error:
            recorder.fail(opened, error)
            raise
        recorder.close(opened)
        return result

    return cast("MethodT", call)
