"""What can be wrong with a scenario record, found before anything is started."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, get_args

from harness.errors import UsageError
from harness.interfaces.checker import Checker
from harness.scenario.record import ANY, Expected, ExpectedVerdict, Scenario
from harness.settings import parse_settings

# Names become folders of the store and words on the command line.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def find_problems(scenario: Scenario) -> tuple[str, ...]:
    """Return what is wrong with ``scenario``, each in one sentence that names the field; empty if it is valid.

    Fault names are not looked at: which faults exist is known above this layer.
    """
    return tuple(
        problem
        for check in (_texts, _functions, _checkers, _matrix, _expectations, _remarks)
        for problem in check(scenario)
    )


def _texts(scenario: Scenario) -> Iterator[str]:
    yield from _bad_name("name", scenario.name)
    if not isinstance(scenario.contract, str) or not scenario.contract.strip():
        yield "contract: say in one sentence what is promised"
    if not isinstance(scenario.section, str):
        yield f"section: {scenario.section!r} is not a text"


def _bad_name(field: str, name: Any) -> Iterator[str]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"{field}: {name!r} is not a name (letters, digits, '_', '-' and '.', a letter or digit first)"


def _functions(scenario: Scenario) -> Iterator[str]:
    for field, mapping in (("variants", scenario.variants), ("operations", scenario.operations)):
        if not isinstance(mapping, Mapping) or not mapping:
            yield f"{field}: must be a mapping with at least one entry"
            continue
        for name, value in mapping.items():
            yield from _bad_name(field, name)
            yield from _not_callable(f"{field}[{name!r}]", value)
    yield from _not_callable("workload", scenario.workload)
    for field in ("setup", "final_reads"):
        if getattr(scenario, field) is not None:
            yield from _not_callable(field, getattr(scenario, field))


def _not_callable(field: str, value: Any) -> Iterator[str]:
    if not callable(value):
        yield f"{field}: {value!r} cannot be called"


def _checkers(scenario: Scenario) -> Iterator[str]:
    if not _is_tuple_of(scenario.checkers, Checker) or not scenario.checkers:
        yield "checkers: must be a tuple with at least one Checker (a tuple of one is written with a comma)"
        return
    for name, count in Counter(checker.name for checker in scenario.checkers).items():
        yield from _bad_name("checkers", name)
        if count > 1:
            yield f"checkers: {count} are called {name!r}; give each a name of its own"


def _matrix(scenario: Scenario) -> Iterator[str]:
    if not _is_tuple_of(scenario.settings, str) or not scenario.settings:
        yield "settings: must be a tuple of texts, at least one"
    else:
        yield from _bad_settings("settings", scenario.settings)
        yield from _repeated("settings", scenario.settings, _canonical)
    if not _is_tuple_of(scenario.faults, str) or not scenario.faults:
        yield "faults: must be a tuple of names, at least one"
    else:
        yield from _repeated("faults", scenario.faults, lambda name: name)


def _expectations(scenario: Scenario) -> Iterator[str]:
    if not _is_tuple_of(scenario.expected, Expected):
        yield "expected: must be a tuple of Expected"
        return
    for number, expected in enumerate(scenario.expected):
        field = f"expected[{number}]"
        if expected.verdict not in get_args(ExpectedVerdict):
            yield f"{field}: verdict {expected.verdict!r} is none of {', '.join(get_args(ExpectedVerdict))}"
        if expected.variant != ANY:
            yield from _unknown_variant(field, expected.variant, scenario)
        if expected.setting != ANY:
            yield from _bad_settings(field, (expected.setting,))


def _remarks(scenario: Scenario) -> Iterator[str]:
    for variant in scenario.advice:
        yield from _unknown_variant("advice", variant, scenario)
    if not _is_tuple_of(scenario.declared_errors, str):
        yield "declared_errors: must be a tuple of class names (a tuple of one is written with a comma)"
    if not isinstance(scenario.think_ms, int | float) or scenario.think_ms < 0:
        yield f"think_ms: {scenario.think_ms!r} is not a number of milliseconds, 0 or more"


def _unknown_variant(field: str, variant: str, scenario: Scenario) -> Iterator[str]:
    known = tuple(scenario.variants) if isinstance(scenario.variants, Mapping) else ()
    if variant not in known:
        yield f"{field}: there is no variant {variant!r}; known: {', '.join(map(str, known)) or 'none'}"


def _is_tuple_of(value: Any, kind: type) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, kind) for item in value)


def _bad_settings(field: str, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        try:
            parse_settings(text)
        except UsageError as error:
            hint = f" ({error.next_step})" if error.next_step else ""
            yield f"{field}: {text!r}: {error.message}{hint}"


def _canonical(text: str) -> str:
    try:
        return parse_settings(text).text()
    except UsageError:
        return text


def _repeated(field: str, texts: Iterable[str], canonical: Callable[[str], str]) -> Iterator[str]:
    for text, count in Counter(map(canonical, texts)).items():
        if count > 1:
            yield f"{field}: {text!r} is listed {count} times"
