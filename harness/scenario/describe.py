"""What a report says of a scenario, as a record that is stored beside the runs."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from harness.result import DeclaredCell, ScenarioText
from harness.scenario.record import Scenario
from harness.settings import parse_settings


def describe_scenario(scenario: Scenario) -> ScenarioText:
    """Return the texts of ``scenario`` and the whole matrix that it declares.

    Settings are written in their canonical form. Raises UsageError where a declared setting does not parse.
    """
    return ScenarioText(
        name=scenario.name,
        contract=scenario.contract,
        section=scenario.section,
        variants={name: _first_paragraph(pattern) for name, pattern in scenario.variants.items()},
        advice=dict(scenario.advice),
        shortened=dict(scenario.shortened),
        guarantees={checker.name: checker.guarantee for checker in scenario.checkers},
        matrix=tuple(
            _declared(scenario, variant, setting, fault)
            for variant in scenario.variants
            for setting in scenario.settings
            for fault in scenario.faults
        ),
    )


def _declared(scenario: Scenario, variant: str, setting: str, fault: str) -> DeclaredCell:
    settings = parse_settings(setting)
    expected = scenario.expectation(variant, settings, fault)
    return DeclaredCell(
        variant=variant,
        setting=settings.text(),
        fault=fault,
        expected=expected.verdict if expected else "",
        why=expected.why if expected else "",
    )


def _first_paragraph(pattern: Any) -> str:
    # A partial's own docstring tells about functools, not about the pattern that it makes.
    if isinstance(pattern, functools.partial):
        pattern = pattern.func
    text = inspect.getdoc(pattern) or ""
    return " ".join(text.partition("\n\n")[0].replace("``", "").split())
