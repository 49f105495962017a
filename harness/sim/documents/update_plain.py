"""The common updates: operators on top-level fields alone, without the tree that paths through documents need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.sim.documents.update_apply import check_change
from harness.sim.documents.update_paths import in_update_order
from harness.sim.documents.update_state import Modifier, UpdateState
from harness.sim.documents.update_tree import checked_operator
from harness.sim.documents.values import MISSING, Document

Steps = tuple[tuple[str, Modifier], ...]


def plain_steps(update: Mapping[str, Any]) -> Steps | None:
    """Return the operators of an update that only touches top-level fields, in mongod's order; None for any other.

    Raises DocumentError as mongod does for a malformed operator.
    """
    modifiers: dict[str, Modifier] = {}
    for name, fields in update.items():
        if name == "$rename":
            return None
        operator = checked_operator(name, fields)
        for path, argument in fields.items():
            if not path or "." in path or "$" in path or path in modifiers:
                return None
            modifiers[path] = operator(path, argument)
    if len(modifiers) == 1:
        return tuple(modifiers.items())
    return tuple([(path, modifiers[path]) for path in in_update_order(modifiers)])


def run_steps(steps: Steps, state: UpdateState) -> Document:
    """Return the updated document, the same object where nothing changed; raises DocumentError (2, 14, 66)."""
    root = result = state.root
    for name, (apply, argument, creates, _, skip) in steps:
        value = root.get(name, MISSING)
        if skip is not None and skip(state, argument):
            continue
        if value is MISSING and not creates:
            continue
        updated = apply(value, argument, (name,), state)
        if updated is value:
            continue
        if name == "_id":
            check_change((name,), value, updated, state)
        if result is root:
            result = dict(root)
        if updated is MISSING:
            del result[name]
        else:
            result[name] = updated
    return result
