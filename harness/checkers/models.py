"""Sequential models that a concurrent history is held against: what one operation does to one state.

A model is a record of pure functions. States and values are hashable (see ``frozen.py``).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final


class _Sentinel(enum.Enum):
    ILLEGAL = "illegal"
    UNKNOWN = "unknown"


ILLEGAL: Final = _Sentinel.ILLEGAL
"""Returned by a model where an operation cannot have this result in this state."""

UNKNOWN: Final = _Sentinel.UNKNOWN
"""The result of an operation whose outcome nobody knows."""


@dataclass(frozen=True, slots=True)
class Step:
    """What an operation did to the object: its kind, the value that it brought and the result that it got."""

    kind: str
    value: Any = None
    result: Any = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A step in time: a closed interval, so that equal stamps are concurrent.

    ``required`` is False for an operation whose outcome is unknown: it took effect once after its start, or never.
    """

    index: int
    start_ns: int
    end_ns: int
    step: Step
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """The smallest evidence that a history fits no order: its kind, its entries and the reason in sentences."""

    kind: str
    entries: tuple[Entry, ...]
    story: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An order of entries that fits, or the witness that none does."""

    order: tuple[Entry, ...] = ()
    witness: Witness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A sequential object.

    ``apply(state, step)`` returns the next state, or ILLEGAL where the step cannot have its result there; a result
    of UNKNOWN must be accepted wherever the operation could have taken effect. ``observes(step)`` says that a step
    never changes any state. ``decide``, where there is one, is an exact polynomial algorithm; it returns None for
    histories that it does not cover. ``explained``, where there is one, says whether every value that was read in
    some entries was brought by one of them: a counterexample is only shrunk to sets for which this is so.
    """

    name: str
    initial: Hashable
    apply: Callable[[Any, Step], Any]
    observes: Callable[[Step], bool]
    describe_state: Callable[[Any], str] = repr
    decide: Callable[[Sequence[Entry], Any], Decision | None] | None = field(default=None)
    explained: Callable[[Sequence[Entry], Any], bool] | None = None


def _apply_register(state: Any, step: Step) -> Any:
    match step.kind:
        case "read":
            return state if step.result is UNKNOWN or step.result == state else ILLEGAL
        case "write":
            return step.value
        case "cas":
            return _apply_cas(state, step)
        case _:
            raise ValueError(f"a register knows read, write and cas, not {step.kind!r}")


def _apply_cas(state: Any, step: Step) -> Any:
    expected, new = step.value
    if step.result is UNKNOWN:
        return new if state == expected else state
    if step.result:
        return new if state == expected else ILLEGAL
    return state if state != expected else ILLEGAL


def _register_observes(step: Step) -> bool:
    return step.kind == "read" or (step.kind == "cas" and step.result is False)


def _register_explained(entries: Sequence[Entry], initial: Any) -> bool:
    values = {initial}
    values.update(e.step.value for e in entries if e.step.kind == "write")
    values.update(e.step.value[1] for e in entries if e.step.kind == "cas" and e.step.result is not False)
    wanted = {e.step.result for e in entries if e.required and e.step.kind == "read"}
    wanted.update(e.step.value[0] for e in entries if e.required and e.step.kind == "cas" and e.step.result is True)
    return wanted <= values


def register(initial: Hashable = None) -> Model:
    """Return the model of a register that starts with ``initial``.

    Steps: ``Step("read", result=value)``, ``Step("write", value)``, ``Step("cas", (expected, new), succeeded)``.
    Histories of reads and writes in which no value is written twice are decided in O(n log n); others by search.
    """
    from harness.checkers.zones import decide_register

    return Model(
        name="register",
        initial=initial,
        apply=_apply_register,
        observes=_register_observes,
        describe_state=lambda state: f"the register holds {state!r}",
        decide=decide_register,
        explained=_register_explained,
    )


def _replace(_: Any, argument: Any) -> Any:
    return argument


def versioned_document(
    version: int = 0, document: Hashable = None, *, transition: Callable[[Any, Any], Any] | None = None
) -> Model:
    """Return the model of one document whose version grows by one with each accepted write.

    ``version`` and ``document`` are what it starts with (0 and None: not there yet). A write brings an argument, and
    ``transition(document, argument)`` gives the document that it leaves; without it the argument is the new document.

    Steps: ``Step("read", result=(version, document))``; ``Step("write", argument, (version, document))`` with the
    version and document as they were written; ``Step("cas", (expected_version, argument), (version, document))``.
    The order is forced by the versions and decided in O(n log n); a search is needed only where writes with unknown
    outcome stand in a row and ``transition`` depends on the document before.
    """
    from harness.checkers.forced_order import decide_versioned

    change = transition or _replace

    def apply(state: Any, step: Step) -> Any:
        if step.kind == "read":
            return state if step.result is UNKNOWN or step.result == state else ILLEGAL
        if step.kind not in {"write", "cas"}:
            raise ValueError(f"a versioned document knows read, write and cas, not {step.kind!r}")
        expected, argument = step.value if step.kind == "cas" else (state[0], step.value)
        if expected != state[0]:
            return state if step.result is UNKNOWN else ILLEGAL
        changed = (state[0] + 1, change(state[1], argument))
        return changed if step.result is UNKNOWN or step.result == changed else ILLEGAL

    def decide(entries: Sequence[Entry], initial: Any) -> Decision | None:
        return decide_versioned(entries, initial, apply, forgetful=transition is None)

    return Model(
        name="versioned document",
        initial=(version, document),
        apply=apply,
        observes=lambda step: step.kind == "read",
        describe_state=lambda state: f"the document is {state[1]!r} at version {state[0]}",
        decide=decide,
    )
