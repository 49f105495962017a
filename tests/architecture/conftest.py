"""The files of this project, as the tests of the tree see them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPPED_FOLDERS = frozenset({"build", "dist", "runs", "__pycache__", "out"})


def list_files() -> list[Path]:
    """Return every file that is tracked or would be; without git, every file outside hidden and built folders."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
        return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and not any(part in SKIPPED_FOLDERS or part.startswith(".") for part in path.relative_to(ROOT).parts[:-1])
    ]


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Return the files of the project."""
    return list_files()


@pytest.fixture(scope="session")
def python_files(files: list[Path]) -> list[Path]:
    """Return the Python files of the project."""
    return [path for path in files if path.suffix == ".py"]


@pytest.fixture(scope="session")
def texts(files: list[Path]) -> dict[str, str]:
    """Return the content of every text file, by its path inside the project."""
    found = {}
    for path in files:
        try:
            found[str(path.relative_to(ROOT))] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found
