"""What a change stream tells of an update: which fields it set, removed or truncated.

For operators these are the paths that they touched, from the first part that they created; for a pipeline the
difference between the document before and after, where a part is told as a whole if that is shorter. Source: the
manual's page "Change Events"; ``src/mongo/db/update/document_diff_calculator.cpp``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import bson

from harness.sim.documents.paths import array_index
from harness.sim.documents.values import MISSING, identical
from harness.sim.server.records import Document

_DELTA_BYTES: Final = 15
"""What the oplog adds to a difference: where both together are no smaller than the document, it is told as replaced."""


def describe_update(before: Document, after: Document, update: Any) -> Document | None:
    """Return the ``updateDescription`` of an event; ``update`` holds the operators, or is a pipeline.

    Returns None where a pipeline changed so much that the event is told as a replacement.
    """
    if type(update) is list and len(bson.encode(_object_difference(before, after))) + _DELTA_BYTES >= len(
        bson.encode(after)
    ):
        return None
    description = _Description()
    if type(update) is dict:
        for operator, fields in update.items():
            for path, argument in fields.items():
                appends = operator == "$push" and _appends(argument)
                description.touch(before, after, path, appends=appends)
                if operator == "$rename":
                    description.touch(before, after, argument, appends=False)
    else:
        description.compare(before, after, "")
    return description.document()


def _appends(argument: Any) -> bool:
    return type(argument) is not dict or not argument.keys() & {"$position", "$slice", "$sort"}


class _Description:
    __slots__ = ("removed", "truncated", "updated")

    def __init__(self) -> None:
        self.updated: Document = {}
        self.removed: list[str] = []
        self.truncated: list[Document] = []

    def document(self) -> Document:
        return {"updatedFields": self.updated, "removedFields": self.removed, "truncatedArrays": self.truncated}

    def touch(self, before: Any, after: Any, path: str, *, appends: bool) -> None:
        """Tell of one path of an operator."""
        parts = path.split(".")
        found = list(_concrete(before, after, parts, ()))
        if len(found) > 1:
            array = next(place for place, part in enumerate(parts) if part.startswith("$"))
            found = list(dict.fromkeys(concrete[:array] for concrete in found))
        for concrete in found:
            self._touch(before, after, concrete, appends=appends)

    def _touch(self, before: Any, after: Any, parts: tuple[str, ...], *, appends: bool) -> None:
        old, new = before, after
        for place, part in enumerate(parts):
            old_below, new_below = _child(old, part), _child(new, part)
            if old_below is MISSING or place == len(parts) - 1:
                self._tell(".".join(parts[: place + 1]), old_below, new_below, appends=appends)
                return
            old, new = old_below, new_below

    def _tell(self, path: str, old: Any, new: Any, *, appends: bool) -> None:
        if new is MISSING:
            if old is not MISSING:
                self.removed.append(path)
        elif appends and type(old) is list and type(new) is list:
            for index in range(len(old), len(new)):
                self.updated[f"{path}.{index}"] = new[index]
        elif old is MISSING or not identical(old, new):
            self.updated[path] = new

    def compare(self, before: Document, after: Document, prefix: str) -> None:
        """Tell of what differs between two documents."""
        for name in before:
            if name not in after:
                self.removed.append(prefix + name)
        for name, new in after.items():
            old = before.get(name, MISSING)
            if old is MISSING:
                self.updated[prefix + name] = new
            elif not identical(old, new):
                self._compare_values(old, new, prefix + name)

    def _compare_values(self, old: Any, new: Any, path: str) -> None:
        difference = _difference(old, new)
        if difference is None or len(bson.encode({"": difference})) >= len(bson.encode({"": new})):
            self.updated[path] = new
        elif type(new) is dict:
            self.compare(old, new, f"{path}.")
        else:
            self._compare_arrays(old, new, path)

    def _compare_arrays(self, old: list[Any], new: list[Any], path: str) -> None:
        for index, item in enumerate(new):
            if index >= len(old):
                self.updated[f"{path}.{index}"] = item
            elif not identical(old[index], item):
                self._compare_values(old[index], item, f"{path}.{index}")
        if len(new) < len(old):
            self.truncated.append({"field": path, "newSize": len(new)})


def _difference(old: Any, new: Any) -> Document | None:
    """Return the difference in the form in which the oplog has it, None where the value is told as a whole."""
    if type(old) is dict and type(new) is dict:
        return _object_difference(old, new)
    if type(old) is list and type(new) is list:
        return _array_difference(old, new)
    return None


def _object_difference(old: Document, new: Document) -> Document:
    difference: Document = {}
    for name in old:
        if name not in new:
            difference.setdefault("d", {})[name] = False
    for name, value in new.items():
        if name not in old:
            difference.setdefault("i", {})[name] = value
        elif not identical(old[name], value):
            below = _difference(old[name], value)
            if below is None or len(bson.encode({"": below})) >= len(bson.encode({"": value})):
                difference.setdefault("u", {})[name] = value
            else:
                difference[f"s{name}"] = below
    return difference


def _array_difference(old: list[Any], new: list[Any]) -> Document:
    difference: Document = {"a": True}
    if len(new) < len(old):
        difference["l"] = len(new)
    for index, value in enumerate(new):
        if index >= len(old):
            difference[f"u{index}"] = value
        elif not identical(old[index], value):
            below = _difference(old[index], value)
            if below is None or len(bson.encode({"": below})) >= len(bson.encode({"": value})):
                difference[f"u{index}"] = value
            else:
                difference[f"s{index}"] = below
    return difference


def _concrete(before: Any, after: Any, parts: list[str], done: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the paths that a path with ``$``, ``$[]`` or ``$[x]`` in it stands for: the elements that changed."""
    if not parts:
        yield done
        return
    part, rest = parts[0], parts[1:]
    if not part.startswith("$"):
        yield from _concrete(_child(before, part), _child(after, part), rest, (*done, part))
    elif type(before) is list and type(after) is list:
        for index, (old, new) in enumerate(zip(before, after, strict=False)):
            if not identical(old, new):
                yield from _concrete(old, new, rest, (*done, str(index)))


def _child(value: Any, part: str) -> Any:
    if type(value) is dict:
        return value.get(part, MISSING)
    if type(value) is list:
        index = array_index(part)
        return value[index] if index is not None and index < len(value) else MISSING
    return MISSING
