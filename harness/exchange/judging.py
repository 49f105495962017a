"""Judging a history from a file: against a sequential model."""

from __future__ import annotations

from typing import Any, Final

from harness.checkers.linearizability import linearizable
from harness.checkers.models import register
from harness.errors import UsageError
from harness.exchange.comparable import comparable, shown
from harness.exchange.pairing import Imported
from harness.exchange.steps import key_of, refuse_unread, step_of
from harness.history import History
from harness.verdict import Verdict

ALL_KEYS: Final = object()
"""Stands for every key."""


def judge_model(imported: Imported, model: str, *, key: Any = ALL_KEYS, initial: Any = None) -> Verdict:
    """Return whether each object of a history behaves as one ``model`` that starts as ``initial``.

    ``key`` names the one object to judge. Raises HistoryError for operations that are none of the model, and
    UsageError for a key that no operation names.
    """
    refuse_unread(imported)
    history = imported.history if key is ALL_KEYS else _only_key(imported, key)
    checker = linearizable(
        register(comparable(initial)),
        step=step_of(imported, model),
        key=key_of(imported),
        guarantee=f"Each operation on a {model} takes effect at one moment between its call and its return.",
    )
    return checker.check(history)


def _only_key(imported: Imported, key: Any) -> History:
    wanted, key_of_operation = comparable(key), key_of(imported)
    operations = tuple(o for o in imported.history.operations if key_of_operation(o) == wanted)
    if not operations:
        keys = dict.fromkeys(key_of_operation(operation) for operation in imported.history.operations)
        raise UsageError(
            f"no operation of {imported.name} has the key {shown(key)}",
            next_step=f"its keys are {', '.join(shown(each) for each in list(keys)[:10])}",
        )
    return History(
        operations=operations, fault_windows=imported.history.fault_windows, complete=imported.history.complete
    )
