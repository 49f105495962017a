"""Hashable twins of plain JSON values, so that tokens and states can be compared, counted and remembered."""

from __future__ import annotations

from typing import Any


class FrozenMap(dict[Any, Any]):
    """A document that can be hashed. It reads like the dict it was made from and must not be changed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


_PLAIN = frozenset({str, int, bool, float, type(None)})


def freeze(value: Any) -> Any:
    """Return ``value`` with every list as a tuple and every dict as a :class:`FrozenMap`, at any depth."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
        return FrozenMap((name, freeze(part)) for name, part in value.items())
    if isinstance(value, list | tuple):
        return tuple(freeze(part) for part in value)
    return value
