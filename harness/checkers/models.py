"""The sequential models that come with the harness: a register and a versioned document."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from harness.checkers.forced_order import decide_versioned
from harness.checkers.model import ILLEGAL, UNKNOWN, Decision, Entry, Model, Step
from harness.checkers.zones import decide_register


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


def _register_unexplained(entries: Sequence[Entry], initial: Any) -> list[Entry]:
    values = {initial}
    values.update(e.step.value for e in entries if e.step.kind == "write")
    values.update(e.step.value[1] for e in entries if e.step.kind == "cas")
    return [e for e in entries if e.required and _seen_value(e.step, initial) not in values]


def _seen_value(step: Step, default: Any) -> Any:
    if step.kind == "read":
        return step.result
    return step.value[0] if step.kind == "cas" and step.result is True else default


def register(initial: Hashable = None) -> Model:
    """Return the model of a register that starts with ``initial``.

    Steps: ``Step("read", result=value)``, ``Step("write", value)``, ``Step("cas", (expected, new), succeeded)``.
    Histories of reads and writes in which no value is written twice are decided in O(n log n); others by search.
    """
    return Model(
        name="register",
        initial=initial,
        apply=_apply_register,
        observes=_register_observes,
        describe_state=lambda state: f"the register holds {state!r}",
        decide=decide_register,
        unexplained=_register_unexplained,
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
