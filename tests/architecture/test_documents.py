"""The documents: their links lead somewhere, and the reference names what the code has."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from harness import settings
from harness.cli.main import make_app
from harness.cli.options import RunOptions
from harness.faults.catalogue import FAULT_NAMES

LINK = re.compile(r"\[[^\]]+\]\((?!https?://|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
MOST_LINES_OF_THE_ARCHITECTURE = 60
COMMANDS = ("scenarios", "run", "check", "report", "runs", "new", "clean", "doctor", "serve")


def test_links_between_documents_resolve(files: list[Path], root: Path) -> None:
    """Every relative link of every document names a file that is there."""
    broken = [
        f"{path.relative_to(root)}: {target}"
        for path in files
        if path.suffix == ".md"
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]
    assert broken == []


def test_every_document_is_reached_from_the_index(root: Path) -> None:
    """No page of the documentation is an orphan."""
    linked = {(root / "docs" / target).resolve() for target in LINK.findall((root / "docs" / "index.md").read_text())}
    pages = {path.resolve() for path in (root / "docs").rglob("*.md") if path.name != "index.md"}
    assert pages <= linked


def test_the_architecture_stays_on_one_page(root: Path) -> None:
    """ARCHITECTURE.md has at most 60 lines."""
    assert len((root / "ARCHITECTURE.md").read_text().splitlines()) <= MOST_LINES_OF_THE_ARCHITECTURE


def test_the_architecture_names_every_part(root: Path) -> None:
    """Each package and module directly under ``harness`` has its place in ARCHITECTURE.md."""
    text = (root / "ARCHITECTURE.md").read_text()
    parts = {path.stem for path in (root / "harness").glob("*.py") if not path.name.startswith("__")}
    parts |= {path.parent.name for path in (root / "harness").glob("*/__init__.py")}
    assert {part for part in parts if f"**{part}**" not in text} == set()


def test_every_setting_is_in_the_reference(root: Path) -> None:
    """Each key of ``--setting`` has its row."""
    text = (root / "docs" / "reference" / "settings.md").read_text()
    assert [key for key in settings.KEYS if f"`{key}`" not in text] == []


def test_every_fault_is_in_the_reference(root: Path) -> None:
    """Each name of ``--fault`` has its row, and no row names a fault that is not there."""
    text = (root / "docs" / "reference" / "faults.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == set(FAULT_NAMES)


def test_every_option_of_run_is_in_the_reference(root: Path) -> None:
    """Each option of ``harness run`` has its row."""
    text = (root / "docs" / "reference" / "command-line.md").read_text()
    names = [field.name for field in dataclasses.fields(RunOptions)]
    assert [name for name in names if f"`--{name.replace('_', '-')}" not in text] == []


def test_every_command_is_in_the_reference(root: Path) -> None:
    """Each command has its row, and each command of the reference exists."""
    text = (root / "docs" / "reference" / "command-line.md").read_text()
    app = make_app()
    assert {command for command in COMMANDS if f"| `harness {command}" in text and command in app} == set(COMMANDS)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/tutorial/judge-your-first-pattern.md"])
def test_make_targets_that_are_named_exist(document: str, root: Path) -> None:
    """Every ``make`` target that a document tells to type is in the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (root / document).read_text(), re.MULTILINE))
    assert named
    assert named <= targets
