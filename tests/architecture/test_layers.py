"""Who may import whom, and what an import brings along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import harness

PUBLIC_NAMES = {
    "Anomaly",
    "Call",
    "Checker",
    "Context",
    "Env",
    "Expected",
    "HarnessError",
    "History",
    "Operation",
    "Rejected",
    "Scenario",
    "Settings",
    "Verdict",
    "__version__",
    "real_env",
}


def loaded_after(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.slow
def test_layers_are_kept(root: Path) -> None:
    """Every import goes down the layers that pyproject.toml declares."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(linter), "--no-cache"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("package", ["harness", "harness.checkers", "harness.history", "harness.scenario.load"])
def test_what_judges_is_free_of_the_driver(package: str) -> None:
    """Judging a stored history needs neither PyMongo nor trio: importing the package does not load them."""
    assert loaded_after(f"import {package}") & {"pymongo", "bson", "trio", "toxiproxy", "pandas"} == set()


def test_public_names_are_these() -> None:
    """The names that scenario files may use are a promise: they change on purpose only, and each resolves."""
    assert set(harness.__all__) == PUBLIC_NAMES
    assert set(dir(harness)) == PUBLIC_NAMES
    assert all(getattr(harness, name) is not None for name in PUBLIC_NAMES)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    """A misspelt name fails as it does for any module."""
    with pytest.raises(AttributeError, match="no attribute 'Scenarios'"):
        _ = harness.Scenarios


def test_every_package_says_what_it_owns(python_files: list[Path], root: Path) -> None:
    """Each ``__init__`` of the package has a docstring of at least two lines: what it owns, what it may import."""
    silent = [
        str(path.relative_to(root))
        for path in python_files
        if path.name == "__init__.py"
        and (root / "harness") in path.parents
        and path.read_text(encoding="utf-8").partition('"""')[2].partition('"""')[0].strip().count("\n") < 1
    ]
    assert silent == []
