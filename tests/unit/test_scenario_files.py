"""The scenario files that ship with the harness: what they may import, what they declare, and that they repeat."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import runpy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.checkers import ANOMALY_KINDS
from harness.operation import Attempt, DatabaseCall, Operation
from harness.scenario.load import load_scenario
from harness.scenario.record import Scenario
from harness.scenario.retry import is_ambiguous
from harness.seed import stream
from harness.settings import Settings, parse_settings

FILES = sorted((Path(__file__).parents[2] / "scenarios").glob("*.py"))
NAMES = [path.stem for path in FILES]

ALLOWED_MODULES = {
    "harness",
    "harness.checkers",
    "harness.scenario.retry",
    "bson",
    "pymongo.errors",
    "pymongo.operations",
    "pymongo.read_concern",
    "pymongo.read_preferences",
    "pymongo.write_concern",
}
ALLOWED_FROM_PYMONGO = {
    "ReturnDocument",
    "InsertOne",
    "UpdateOne",
    "UpdateMany",
    "ReplaceOne",
    "DeleteOne",
    "DeleteMany",
}
STANDARD_LIBRARY = {
    "__future__",
    "collections",
    "collections.abc",
    "datetime",
    "functools",
    "itertools",
    "random",
    "typing",
}


def imported_names(path: Path) -> set[tuple[str, str]]:
    """Return (module, name) of every import of a file; the name is empty for a plain import."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "", alias.name) for alias in node.names}
    return found


def is_allowed(module: str, name: str) -> bool:
    """Whether a scenario file may import that."""
    if module == "pymongo":
        return name in ALLOWED_FROM_PYMONGO
    return module in ALLOWED_MODULES | STANDARD_LIBRARY


def cells(scenario: Scenario) -> list[tuple[str, Settings, str]]:
    """Return every cell of a scenario's matrix, and the cell that runs when nothing is named."""
    settings = [parse_settings(text) for text in scenario.settings]
    return [*itertools.product(scenario.variants, settings, scenario.faults), ("published", Settings(), "none")]


def first_calls(scenario: Scenario, *, seed: int, client: int, count: int = 300) -> list[tuple[str, dict[str, Any]]]:
    """Return what a client's workload begins with."""
    calls = itertools.islice(scenario.workload(stream(seed, "workload", client), client), count)
    return [(call.function, dict(call.arguments)) for call in calls]


@pytest.fixture(params=NAMES)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """Each shipped scenario in turn."""
    return load_scenario(request.param).scenario


def test_import_rule_refuses_a_client():
    """The rule that the next test applies does refuse PyMongo's clients and a foreign event loop."""
    refused = [
        ("pymongo", "AsyncMongoClient"),
        ("pymongo", ""),
        ("asyncio", ""),
        ("pymongo.asynchronous.collection", "x"),
    ]
    assert not any(is_allowed(module, name) for module, name in refused)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_scenario_file_imports_no_client(path: Path):
    """A scenario file imports harness, and from PyMongo errors, options and value types alone."""
    assert {pair for pair in imported_names(path) if not is_allowed(*pair)} == set()


def test_scenario_names_both_variants(scenario: Scenario):
    """Every scenario has the published pattern and a hardened one, each with its docstring and advice."""
    assert set(scenario.variants) >= {"published", "hardened"}
    assert scenario.default_variant == "published"
    for variant, pattern in scenario.variants.items():
        assert len(inspect.getdoc(pattern) or "") > 50, variant
        assert len(scenario.advice[variant]) > 30, variant
    assert "Changed:" in (inspect.getdoc(scenario.variants["hardened"]) or "")


def test_scenario_states_its_contract(scenario: Scenario):
    """The contract is one sentence, and the seed's section is named."""
    assert scenario.contract.endswith(".")
    assert scenario.section
    assert "unexpected-errors" in {checker.name for checker in scenario.checkers}
    assert len({checker.name for checker in scenario.checkers}) == len(scenario.checkers)


def test_scenario_expects_something_of_every_cell(scenario: Scenario):
    """No cell of the matrix is without a declared verdict, a reason for it, and a known kind of anomaly."""
    for variant, settings, fault in cells(scenario):
        expected = scenario.expectation(variant, settings, fault)
        label = f"{variant}, {settings.text()}, {fault}"
        assert expected is not None, label
        assert expected.why, label
        assert expected.anomaly in {"", *ANOMALY_KINDS}, label
        assert not (variant == "hardened" and fault == "none" and expected.verdict == "may-violate"), label


def test_every_declared_expectation_is_used(scenario: Scenario):
    """An entry that no cell reaches first is a mistake in the order of the list."""
    used = {id(scenario.expectation(*cell)) for cell in cells(scenario)}
    assert [entry for entry in scenario.expected if id(entry) not in used] == []


def test_workload_repeats_for_a_seed_and_differs_between_seeds(scenario: Scenario):
    """The calls of a client are drawn from its random stream alone, and are plain JSON that names its operations."""
    calls = first_calls(scenario, seed=7, client=1)
    assert calls == first_calls(scenario, seed=7, client=1)
    assert calls != first_calls(scenario, seed=8, client=1)
    assert json.loads(json.dumps(calls)) == [list(call) for call in calls]
    for function, arguments in calls:
        inspect.signature(scenario.operations[function]).bind(None, **arguments)
    assert {function for function, _ in first_calls(scenario, seed=7, client=1, count=2_000)} == set(
        scenario.operations
    )


def test_workload_tokens_are_unique_over_clients(scenario: Scenario):
    """Two calls never write the same token: what is found at the end tells which call wrote it."""
    calls = [call for client in range(5) for call in first_calls(scenario, seed=7, client=client)]
    for key in ("token", "value"):
        tokens = [arguments[key] for _, arguments in calls if key in arguments]
        assert len(tokens) == len(set(tokens)), key


def test_ambiguity_is_told_by_class_or_label():
    """A lost connection, a time limit and an unknown commit are ambiguous; a duplicate key is not."""
    from pymongo import errors

    labelled = errors.OperationFailure("commit", 50)
    labelled._add_error_label("UnknownTransactionCommitResult")
    ambiguous = [errors.NetworkTimeout(), errors.NotPrimaryError(), errors.WTimeoutError("", 64), labelled]
    assert all(is_ambiguous(error) for error in ambiguous)
    assert not any(is_ambiguous(error) for error in (errors.DuplicateKeyError("", 11000), ValueError()))


def test_register_write_without_answer_is_known_by_its_command():
    """Of a write that raised, the record of its command tells the timestamp; of one that sent nothing, nothing does."""
    path = next(path for path in FILES if path.stem == "lww_register")
    write_of = runpy.run_path(str(path))["write_of"]
    sent = {"update": {"$set": {"value": "v", "timestamp": "2026-11-24T23:21:07.914000Z", "nodeId": "node-2"}}}
    attempt = Attempt(command="findAndModify", request=sent, server="m1", start_ns=1)
    raised = Operation(
        index=0,
        process=2,
        client=2,
        function="write",
        arguments={"register": "r", "value": "v"},
        start_ns=0,
        status="info",
        outcome="raised",
        calls=(DatabaseCall(name="registers.find_one_and_update", start_ns=0, attempts=(attempt,)),),
    )
    written = write_of(raised)
    assert (written.key, written.stamp, written.value) == ("r", (1795562467914, "node-2"), "v")
    assert write_of(msgspec.structs.replace(raised, calls=())) is None
