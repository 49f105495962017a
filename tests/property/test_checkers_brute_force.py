"""The checkers against brute force: thousands of small random histories, judged by definition."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from brute_force import (
    HISTORIES,
    MUTANT_HISTORIES,
    disagreements,
    fail_as_info,
    info_as_ok,
    is_noticed,
    misreading,
    open_intervals,
    without_info,
)
from checker_histories import document_histories, register_histories
from linearization_oracle import Rule, document_rule, is_linearizable, register_rule

from harness.checkers import (
    Step,
    forced_order,
    linearizable,
    register,
    search,
    versioned_document,
    zones,
)
from harness.checkers.model import Model
from harness.clock import FOREVER_NS
from harness.history import History
from harness.interfaces.checker import Checker
from harness.operation import Operation


def register_step(one: Operation) -> Step:
    """Return what a register operation did."""
    if one.function == "read":
        return Step("read", result=one.result)
    if one.function == "write":
        return Step("write", one.arguments["value"])
    return Step("cas", (one.arguments["old"], one.arguments["new"]), one.result)


def document_step(one: Operation) -> Step:
    """Return what an operation on a versioned document did."""
    if one.function == "read":
        return Step("read", result=one.result)
    if one.function == "write":
        return Step("write", one.arguments["argument"], one.result)
    return Step("cas", (one.arguments["seen"], one.arguments["argument"]), one.result)


def counter_document() -> Model:
    """Return the model of a versioned counter, whose document depends on the one before."""
    return versioned_document(document=0, transition=lambda document, argument: document + argument)


def by_search(model: Model) -> Model:
    """Return the model without its polynomial algorithm."""
    return dataclasses.replace(model, decide=None)


REGISTER = linearizable(register(), step=register_step)
DOCUMENT = linearizable(versioned_document(), step=document_step)
COUNTER = linearizable(counter_document(), step=document_step)

CASES: dict[str, tuple[Checker, Callable[[int], Iterator[History]], Rule, Any]] = {
    "register, unique values": (REGISTER, lambda n: register_histories(n, unique=True), register_rule, None),
    "register, repeated values": (REGISTER, lambda n: register_histories(n, unique=False), register_rule, None),
    "register with cas": (REGISTER, lambda n: register_histories(n, unique=False, cas=True), register_rule, None),
    "register, unique values, by search": (
        linearizable(by_search(register()), step=register_step),
        lambda n: register_histories(n, unique=True),
        register_rule,
        None,
    ),
    "versioned document": (DOCUMENT, document_histories, document_rule(counter=False), (0, None)),
    "versioned document, by search": (
        linearizable(by_search(versioned_document()), step=document_step),
        document_histories,
        document_rule(counter=False),
        (0, None),
    ),
    "versioned counter": (
        COUNTER,
        lambda n: document_histories(n, counter=True),
        document_rule(counter=True),
        (0, 0),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_linearizability_agrees_with_every_order_tried(name: str) -> None:
    """On 10,000 small histories the checker says violated exactly where no order of any subset fits."""
    checker, histories, rule, initial = CASES[name]
    wrong, seen = disagreements(
        checker, histories(HISTORIES), lambda one: is_linearizable(one.operations, rule, initial)
    )
    assert wrong == 0
    assert min(seen["holds"], seen["violated"]) > HISTORIES // 10, seen


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["register, unique values", "register with cas", "versioned document", "versioned counter"]
)
def test_the_operations_of_a_counterexample_are_to_blame_by_themselves(name: str) -> None:
    """Even if the outcome of every other operation were unknown, those that are named would fit no order."""
    checker, histories, rule, initial = CASES[name]
    tried = 0
    for one in histories(MUTANT_HISTORIES):
        for anomaly in checker.check(one).anomalies:
            if anomaly.kind == "version-gap":
                continue  # blames what is not there: no subset can stand for that
            tried += 1
            freed = [o if o.index in anomaly.operations else set_free(o) for o in one.operations]
            assert not is_linearizable(freed, rule, initial), (anomaly, one)
    assert tried > MUTANT_HISTORIES // 10


def set_free(one: Operation) -> Operation:
    """Return the operation as if its outcome were unknown."""
    return msgspec.structs.replace(one, status="info" if one.status == "ok" else one.status)


@pytest.mark.parametrize("mutation", [without_info, info_as_ok, fail_as_info, open_intervals])
@pytest.mark.parametrize("name", ["register, unique values", "register with cas", "versioned document"])
def test_brute_force_notices_a_checker_that_misreads_histories(
    name: str, mutation: Callable[[History], History]
) -> None:
    """A checker that drops or trusts uncertain operations, or orders equal stamps, disagrees with the oracle."""
    checker, histories, rule, initial = CASES[name]
    mutant = misreading(checker, mutation)
    assert is_noticed(mutant, histories(MUTANT_HISTORIES), lambda one: is_linearizable(one.operations, rule, initial))


def _no_deadlines(slots: Sequence[Any]) -> dict[int, int]:
    return {slot.version: FOREVER_NS for slot in slots}


MUTANTS: dict[str, tuple[str, Any, str, Any]] = {
    "documents are not compared": ("versioned document", forced_order, "_misfit", lambda *_: None),
    "versions may overtake": ("versioned document", forced_order, "_overtaken", lambda *_: None),
    "late writes fill early gaps": ("versioned document", forced_order, "_deadlines", _no_deadlines),
    "a gap takes any write": ("versioned document", forced_order, "_fits", lambda *_, **__: True),
    "values may come from nowhere": ("register, unique values", zones, "_unexplained", lambda *_: None),
    "twins are never used": ("register with cas", search, "_earlier_twins", lambda pending: list(range(len(pending)))),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_brute_force_notices_a_broken_algorithm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one rule taken out of an algorithm, verdicts differ from the oracle's or the order fails its own check."""
    case, module, attribute, replacement = MUTANTS[name]
    checker, histories, rule, initial = CASES[case]
    monkeypatch.setattr(module, attribute, replacement)

    assert is_noticed(checker, histories(MUTANT_HISTORIES), lambda one: is_linearizable(one.operations, rule, initial))
