"""The tree itself: sizes, leftovers, and nothing in it that belongs to one machine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

MOST_LINES_IN_A_FILE = 499
MOST_LINES_IN_A_FUNCTION = 70

# Put together here, so that this file does not hold what it looks for.
LEFTOVERS = ("TO" + "DO", "FIX" + "ME", "XX" + "X:")
INDEX_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("deb", "debian", "org"),
        ("proxy", "golang", "org"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
    )
)
MACHINE_PATHS = re.compile(r"(?<![\w.$}>])/(?:root|home/\w+|Users/\w+|work)/" + r"\w")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_stay_short(python_files: list[Path], root: Path) -> None:
    """No Python file has 500 lines or more."""
    lengths = {str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_IN_A_FILE} == {}


def test_functions_stay_short(python_files: list[Path], root: Path) -> None:
    """No function is longer than 70 lines, its signature and docstring included."""
    long = {
        f"{path.relative_to(root)}:{function.lineno} {function.name}": length
        for path in python_files
        for function in functions(path)
        if (length := (function.end_lineno or function.lineno) - function.lineno + 1) > MOST_LINES_IN_A_FUNCTION
    }
    assert long == {}


def test_nothing_is_left_to_do(texts: dict[str, str]) -> None:
    """No file holds a mark for work that was put off."""
    assert [name for name, text in texts.items() if any(mark in text for mark in LEFTOVERS)] == []


def test_no_package_index_is_named(texts: dict[str, str]) -> None:
    """Which index or mirror is used is the machine's affair: no file names one."""
    forbidden = (*INDEX_HOSTS, "--index" + "-url", "--extra-index" + "-url")
    assert {name: host for name, text in texts.items() for host in forbidden if host in text} == {}


def test_no_path_of_a_machine_is_named(texts: dict[str, str]) -> None:
    """No file names a home or work folder of the machine on which it was written."""
    found = {
        f"{name}:{number}": line.strip()
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE_PATHS.search(line)
    }
    assert found == {}


def test_every_suppression_has_a_reason(texts: dict[str, str]) -> None:
    """A ``noqa`` in Python code outside the tests says why."""
    bare = [
        f"{name}:{number}"
        for name, text in texts.items()
        if name.endswith(".py") and not name.startswith("tests/")
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(r"#\s*noqa", line) and not re.search(r"#\s*noqa: [A-Z0-9, ]+ - \w", line)
    ]
    assert bare == []


def test_test_files_have_names_of_their_own(files: list[Path], root: Path) -> None:
    """Test files have no package, so that two of one name would shadow each other."""
    names = [path.name for path in files if path.name.startswith("test_") and (root / "tests") in path.parents]
    assert sorted(names) == sorted(set(names))


def test_every_test_states_its_promise(python_files: list[Path], root: Path) -> None:
    """Each test function has a docstring."""
    silent = [
        f"{path.relative_to(root)}:{function.lineno} {function.name}"
        for path in python_files
        if (root / "tests") in path.parents
        for function in functions(path)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert silent == []
