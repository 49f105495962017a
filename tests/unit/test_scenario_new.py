"""Writing a scenario from the template."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import StoreError, UsageError
from harness.operation import Operation
from harness.scenario.load import load_scenario
from harness.scenario.new import write_scenario


def test_the_template_is_a_valid_scenario(tmp_path: Path) -> None:
    """What `harness new` writes loads at once, bears the name that was asked for, and has two variants."""
    path = write_scenario("my_pattern", tmp_path / "made" / "on demand")
    scenario = load_scenario(str(path)).scenario
    assert path == tmp_path / "made" / "on demand" / "my_pattern.py"
    assert (scenario.name, tuple(scenario.variants)) == ("my_pattern", ("published", "hardened"))
    assert "@" not in path.read_text()
    assert f"harness run '{path}' --duration" in path.read_text()


def test_the_template_declares_an_expectation_for_every_cell(tmp_path: Path) -> None:
    """With `--expect` no cell of the template's own matrix is without a declared verdict."""
    from harness.settings import parse_settings

    scenario = load_scenario(str(write_scenario("my_pattern", tmp_path))).scenario
    for variant in scenario.variants:
        for setting in scenario.settings:
            for fault in scenario.faults:
                assert scenario.expectation(variant, parse_settings(setting), fault) is not None


@pytest.mark.slow
def test_the_template_passes_the_linter_of_this_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first scenario that a newcomer reads is as clean as the house rules ask."""
    monkeypatch.chdir(tmp_path)
    path = write_scenario("my_pattern", Path())
    project = Path(__file__).parents[2] / "pyproject.toml"
    ignored = "INP001,ARG001,I001"  # what depends on the place of the file, and the given shape of a workload
    command = [sys.executable, "-m", "ruff", "check", "--config", str(project), "--ignore", ignored, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_template_tells_what_a_visit_was_computed_from(tmp_path: Path) -> None:
    """The template's update names the count it was computed from when acknowledged, and none when unknown."""
    path = write_scenario("my_pattern", tmp_path)
    as_update = sys.modules[load_scenario(str(path)).scenario.operations["visit"].__module__].as_update
    visit = {"index": 0, "process": 0, "client": 0, "function": "visit", "arguments": {"page": "home"}, "start_ns": 0}
    acknowledged = as_update(Operation(**visit, status="ok", outcome="returned", result=5, returned_ns=1))
    unknown = as_update(Operation(**visit, status="info", outcome="raised"))
    assert (acknowledged.key, acknowledged.delta, acknowledged.base) == ("home", 1, 4)
    assert unknown.base is None


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("My Pattern", "my_pattern"),
        ("my-pattern.py", "my_pattern"),
        ("../up", "up"),
        ("class", "my_pattern"),
        ("7up", "my_pattern"),
        ("", "my_pattern"),
        ("größe", "gr_e"),
    ],
)
def test_a_bad_name_gets_a_good_one_suggested(tmp_path: Path, name: str, suggestion: str) -> None:
    """A name that is no lower-case identifier is refused before anything is written."""
    with pytest.raises(UsageError) as caught:
        write_scenario(name, tmp_path)
    assert caught.value.next_step.endswith(f": {suggestion}")
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A file that exists is kept as it is."""
    path = tmp_path / "mine.py"
    path.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        write_scenario("mine", tmp_path)
    assert path.read_text() == "precious"


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A directory below a file is a storage error with the system's reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"Not a directory|File exists"):
        write_scenario("mine", tmp_path / "file" / "below")
