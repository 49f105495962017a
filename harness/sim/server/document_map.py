"""A map that keeps all its versions, for large collections: a change costs as much as itself, not as the map.

A small map is a plain dict, and a change copies it, which is the fastest there is. Beyond :data:`PLAIN_MAX` entries
only the newest version has a table; each older one says in what it differs from the next (Baker, "Shallow binding makes
functional arrays fast", 1991). Who reads an old version much, or changes it, gets a table for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

PLAIN_MAX: Final = 256
_HOPS_MAX: Final = 32
_GONE: Final[Any] = object()


def put(entries: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    """Return the map with ``value`` under ``key``: in its place, or at the end for a key that was not there."""
    if type(entries) is dict and len(entries) < PLAIN_MAX:
        return {**entries, key: value}
    return _versioned(entries).put(key, value)


def drop(entries: Mapping[K, V], key: K) -> Mapping[K, V]:
    """Return the map without ``key``. Raises KeyError."""
    if type(entries) is dict:
        rest = dict(entries)
        del rest[key]
        return rest
    return _versioned(entries).drop(key)


def _versioned(entries: Mapping[K, V]) -> VersionedMap[K, V]:
    return entries if isinstance(entries, VersionedMap) else VersionedMap(dict(entries))


class VersionedMap(Mapping[K, V], Generic[K, V]):
    """One version. Nothing that can be seen of it ever changes."""

    __slots__ = ("_dead", "_key", "_length", "_newer", "_table", "_value")

    def __init__(self, table: dict[K, V]) -> None:
        self._table: dict[K, V] | None = table
        self._length = len(table)
        self._dead = 0
        """How many entries of the table are :data:`_GONE`."""
        self._newer: VersionedMap[K, V]
        self._key: K
        self._value: V

    def put(self, key: K, value: V) -> VersionedMap[K, V]:
        """Return the next version, with ``value`` under ``key``."""
        table = self._own_table()
        before = table.get(key, _GONE)
        if before is _GONE and key in table:
            # It was dropped, and comes to the end now; older versions have it where it was.
            return self._copy().put(key, value)
        table[key] = value
        return self._handed_on(key, before, self._length + (before is _GONE), self._dead)

    def drop(self, key: K) -> VersionedMap[K, V]:
        """Return the next version, without ``key``. Raises KeyError."""
        table = self._own_table()
        before = table[key]
        if before is _GONE:
            raise KeyError(key)
        table[key] = _GONE
        newer = self._handed_on(key, before, self._length - 1, self._dead + 1)
        return newer if newer._dead <= newer._length else newer._copy()

    def _handed_on(self, key: K, before: V, length: int, dead: int) -> VersionedMap[K, V]:
        """Give the table to a newer version, and keep what this one had under ``key``."""
        newer: VersionedMap[K, V] = VersionedMap.__new__(VersionedMap)
        newer._table, newer._length, newer._dead = self._table, length, dead
        self._table, self._newer, self._key, self._value = None, newer, key, before
        return newer

    def _copy(self) -> VersionedMap[K, V]:
        return VersionedMap(dict(self.items()))

    def _own_table(self) -> dict[K, V]:
        """Return the table of this version, made where it has none."""
        if self._table is not None:
            return self._table
        later = [self]
        while later[-1]._newer._table is None:
            later.append(later[-1]._newer)
        newest = later[-1]._newer._table
        assert newest is not None
        table = dict(newest)
        for version in reversed(later):
            table[version._key] = version._value
        self._table = table
        self._dead = len(table) - self._length
        del self._newer, self._key, self._value
        return table

    def _find(self, key: object) -> Any:
        version = self
        for _ in range(_HOPS_MAX):
            if version._table is not None:
                return _look_up(version._table, key)
            if version._key == key:
                return version._value
            version = version._newer
        return _look_up(self._own_table(), key)

    def __getitem__(self, key: K) -> V:
        value: V = self._find(key)
        if value is _GONE:
            raise KeyError(key)
        return value

    def get(self, key: K, default: Any = None) -> Any:
        """Return what is under ``key``, or ``default``."""
        value = self._find(key)
        return default if value is _GONE else value

    def __contains__(self, key: object) -> bool:
        return self._find(key) is not _GONE

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[K]:
        # The table may go on to the next version while somebody is in the middle of this one.
        return iter([key for key, value in self._own_table().items() if value is not _GONE])

    def items(self) -> Any:
        """Return the entries, in order, as they are now and remain."""
        return [(key, value) for key, value in self._own_table().items() if value is not _GONE]

    def values(self) -> Any:
        """Return the values, in order."""
        return [value for value in self._own_table().values() if value is not _GONE]


def _look_up(table: Any, key: object) -> Any:
    return table.get(key, _GONE)
