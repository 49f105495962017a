"""Loading scenarios: by name, by path, from plugins; and what the user reads when a file is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.assets import scenario_directory
from harness.errors import HarnessError, ScenarioError, UsageError
from harness.scenario import load
from harness.scenario.load import available_scenarios, load_scenario

VALID = '''
"""A scenario for tests."""

from harness import Call, Checker, Scenario, Verdict


class Published:
    """Does nothing."""

    def __init__(self, database, *, env=None):
        self.database = database


async def touch(context):
    return None


def nothing(history):
    return Verdict(checker="nothing", status="holds")


def workload(random, client):
    while True:
        yield Call(function="touch")


RECORD = dict(
    name="sample",
    contract="Nothing is promised.",
    section="tests",
    variants={"published": Published},
    operations={"touch": touch},
    workload=workload,
    checkers=(Checker(name="nothing", guarantee="nothing", check=nothing),),
)
SCENARIO = Scenario(**RECORD)
'''


@pytest.fixture(autouse=True)
def unchanged_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the search path of one test, and the modules that it loads from its own folder, from the next."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name, module in tuple(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory that stands for the scenarios that ship with the harness."""
    directory = tmp_path / "shipped"
    directory.mkdir()
    monkeypatch.setattr(load, "scenario_directory", lambda: directory)
    return directory


def write(path: Path, text: str = VALID) -> Path:
    """Write a file, a valid scenario unless told otherwise, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def install_plugin(root: Path, *, name: str, value: str, distribution: str = "acme-patterns") -> None:
    """Put a distribution with an entry point on the search path, as an installer would."""
    write(
        root / f"{distribution}-1.0.dist-info" / "METADATA",
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n",
    )
    write(root / f"{distribution}-1.0.dist-info" / "entry_points.txt", f"[harness.scenarios]\n{name} = {value}\n")
    sys.path.insert(0, str(root))


def test_a_name_finds_the_shipped_file(shipped: Path) -> None:
    """A name loads the shipped file of that name and keeps the name as the source that loads it again."""
    path = write(shipped / "sample.py")
    loaded = load_scenario("sample")
    assert (loaded.scenario.name, loaded.source, loaded.path) == ("sample", "sample", path)


def test_a_path_finds_a_file_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path loads a user's file; the recorded path is absolute."""
    path = write(tmp_path / "patterns" / "mine.py")
    monkeypatch.chdir(tmp_path)
    loaded = load_scenario("patterns/mine.py")
    assert (loaded.source, loaded.path) == ("patterns/mine.py", path)


def test_the_digest_is_of_what_ran(tmp_path: Path) -> None:
    """A file that changes between two loads gives the new scenario and another digest, even within one second."""
    path = write(tmp_path / "mine.py")
    first = load_scenario(str(path))
    write(path, VALID.replace("Nothing is promised", "Nothing is PROMISED"))
    second = load_scenario(str(path))
    assert first.scenario.contract == "Nothing is promised."
    assert second.scenario.contract == "Nothing is PROMISED."
    assert first.digest != second.digest


def test_loading_leaves_no_files_behind(tmp_path: Path) -> None:
    """No byte-code cache appears beside the user's file."""
    load_scenario(str(write(tmp_path / "mine.py")))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_two_files_of_one_name_stay_apart(tmp_path: Path) -> None:
    """Two files with the same name and content, in two folders, are two modules."""
    first = load_scenario(str(write(tmp_path / "a" / "mine.py")))
    second = load_scenario(str(write(tmp_path / "b" / "mine.py")))
    assert first.scenario.variants["published"] is not second.scenario.variants["published"]


def test_a_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    """A user's file imports its neighbour, and the neighbour's folder cannot shadow the standard library."""
    write(tmp_path / "acme_orders.py", "LIMIT = 7\n")
    write(tmp_path / "json.py", "raise RuntimeError('shadowed')\n")
    text = "import json\nfrom acme_orders import LIMIT\n" + VALID + "assert LIMIT == 7\n"
    assert load_scenario(str(write(tmp_path / "mine.py", text))).scenario.name == "sample"
    assert sys.path[-1] == str(tmp_path)


def test_nothing_called_scenarios_is_imported(tmp_path: Path, shipped: Path) -> None:
    """A user's own package called ``scenarios`` is left alone."""
    write(tmp_path / "user" / "scenarios" / "__init__.py", "raise RuntimeError('imported')\n")
    sys.path.insert(0, str(tmp_path / "user"))
    write(shipped / "sample.py")
    load_scenario("sample")
    assert "scenarios" not in sys.modules


def test_a_plugin_is_found_and_imported_as_the_package_that_it_is(tmp_path: Path, shipped: Path) -> None:
    """An entry point of the group names a module, whose relative imports work; it is listed by its name."""
    write(shipped / "sample.py")
    write(tmp_path / "plugin" / "acme" / "__init__.py", "")
    write(tmp_path / "plugin" / "acme" / "base.py")
    path = write(tmp_path / "plugin" / "acme" / "pattern.py", "from .base import SCENARIO\n")
    install_plugin(tmp_path / "plugin", name="acme_pattern", value="acme.pattern")
    assert available_scenarios() == ("acme_pattern", "sample")
    loaded = load_scenario("acme_pattern")
    assert (loaded.scenario.name, loaded.path) == ("sample", path)


def test_a_plugin_may_name_another_attribute(tmp_path: Path, shipped: Path) -> None:
    """An entry point with a colon takes that attribute, so that one module can hold several records."""
    text = VALID.replace("SCENARIO =", "NIGHTLY =")
    write(tmp_path / "plugin" / "acme_nightly.py", text)
    install_plugin(tmp_path / "plugin", name="nightly", value="acme_nightly:NIGHTLY")
    assert load_scenario("nightly").scenario.name == "sample"


def test_a_name_that_two_provide_is_refused(tmp_path: Path, shipped: Path) -> None:
    """A plugin cannot take a shipped scenario's name unseen."""
    write(shipped / "sample.py")
    install_plugin(tmp_path / "plugin", name="sample", value="acme.pattern")
    with pytest.raises(UsageError, match="provided by the harness and by acme-patterns"):
        load_scenario("sample")


def test_a_broken_plugin_is_named_with_its_line(tmp_path: Path, shipped: Path) -> None:
    """A plugin that raises while it is imported is told by module, file and line."""
    path = write(tmp_path / "plugin" / "acme_broken.py", "\n1 / 0\n")
    install_plugin(tmp_path / "plugin", name="broken", value="acme_broken")
    with pytest.raises(ScenarioError) as caught:
        load_scenario("broken")
    assert f"acme_broken (raised at {path}:2)" in caught.value.message


def test_an_unknown_name_shows_the_near_ones(shipped: Path) -> None:
    """A misspelt name is a usage error that suggests the right one."""
    write(shipped / "optimistic_lock.py")
    write(shipped / "_common.py")
    with pytest.raises(UsageError) as caught:
        load_scenario("optimistic_look")
    assert caught.value.next_step == "did you mean optimistic_lock?"
    assert caught.value.exit_code == 3
    assert available_scenarios() == ("optimistic_lock",)


def test_a_file_named_without_its_ending_is_recognised(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is no scenario but a file here gets the hint to write the path."""
    write(tmp_path / "mine.py")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"named by its path: mine\.py"):
        load_scenario("mine")


def test_a_missing_file_shows_its_neighbours(tmp_path: Path) -> None:
    """A path that does not exist is a usage error that lists the files of that folder."""
    write(tmp_path / "mine.py")
    with pytest.raises(UsageError, match=r"in that folder: mine\.py"):
        load_scenario(str(tmp_path / "mime.py"))
    with pytest.raises(UsageError, match="is a directory"):
        load_scenario(f"{tmp_path}/")


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("x = 1\nimport no_such_package.inner\n", 2, "ModuleNotFoundError: No module named 'no_such_package'"),
        ("x = (\n", 1, "SyntaxError: '(' was never closed"),
        ("\n\nraise ValueError('no')\n", 3, "ValueError: no"),
        ("def f():\n    return 1 / 0\nf()\n", 2, "ZeroDivisionError: division by zero"),
        ("raise SystemExit(2)\n", 1, "SystemExit: 2"),
        ("from harness import Scenario\nScenario(name='x')\n", 2, "TypeError: "),
    ],
)
def test_a_file_that_does_not_load_is_told_with_its_line(tmp_path: Path, text: str, line: int, told: str) -> None:
    """The message has the user's file, its line and the exception, and it is a harness error with a next step."""
    path = write(tmp_path / "mine.py", text)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(str(path))
    assert f"{path}:{line}" in caught.value.message
    assert told in caught.value.message
    assert caught.value.next_step
    assert caught.value.exit_code == 4


def test_an_error_deeper_down_names_both_places(tmp_path: Path) -> None:
    """Where the neighbour of a file raises, both the file's line and the neighbour's are named."""
    write(tmp_path / "acme_deep.py", "\n\nraise KeyError('deep')\n")
    path = write(tmp_path / "mine.py", "\nimport acme_deep\n")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(str(path))
    assert f"{path}:2 (raised at {tmp_path / 'acme_deep.py'}:3)" in caught.value.message


def test_a_mistake_in_a_setting_at_import_keeps_its_hint(tmp_path: Path) -> None:
    """A harness error out of the file keeps its own next step."""
    text = "from harness.settings import parse_settings\nparse_settings('W=1')\n"
    with pytest.raises(ScenarioError) as caught:
        load_scenario(str(write(tmp_path / "mine.py", text)))
    assert "mine.py:2 (raised at" in caught.value.message
    assert "UsageError: unknown setting 'W'" in caught.value.message
    assert caught.value.next_step.startswith("known: causal, ")


def test_a_failed_load_can_be_tried_again(tmp_path: Path) -> None:
    """A module that raised is forgotten: the corrected neighbour makes the same file load."""
    path = write(tmp_path / "mine.py", "import acme_later\n" + VALID)
    with pytest.raises(ScenarioError):
        load_scenario(str(path))
    write(tmp_path / "acme_later.py", "")
    sys.path_importer_cache.clear()
    assert load_scenario(str(path)).scenario.name == "sample"


def test_a_file_without_the_record_is_told_what_to_write(tmp_path: Path) -> None:
    """No SCENARIO, a SCENARIO of another type, and a record of another name each get their own hint."""
    path = tmp_path / "mine.py"
    with pytest.raises(ScenarioError, match=r"write SCENARIO = Scenario\(\.\.\.\)"):
        load_scenario(str(write(path, "x = 1\n")))
    with pytest.raises(ScenarioError, match="SCENARIO is of type dict, not harness"):
        load_scenario(str(write(path, "SCENARIO = {}\n")))
    with pytest.raises(ScenarioError, match="rename REGISTER to SCENARIO"):
        load_scenario(str(write(path, VALID.replace("SCENARIO =", "REGISTER ="))))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("name='a/b'", "name: 'a/b' is not a name"),
        ("contract='  '", "contract: say in one sentence"),
        ("section=None", "section: None is not a text"),
        ("variants={}", "variants: must be a mapping with at least one entry"),
        ("variants=None, advice={'published': 'x'}", "advice: there is no variant 'published'; known: none"),
        ("variants={'published': 7}", "variants['published']: 7 cannot be called"),
        ("operations={'touch': 'touch'}", "operations['touch']: 'touch' cannot be called"),
        ("workload=[]", "workload: [] cannot be called"),
        ("setup='x'", "setup: 'x' cannot be called"),
        ("final_reads=1", "final_reads: 1 cannot be called"),
        ("checkers=RECORD['checkers'][0]", "checkers: must be a tuple with at least one Checker"),
        ("checkers=()", "checkers: must be a tuple with at least one Checker"),
        ("checkers=RECORD['checkers'] * 2", "checkers: 2 are called 'nothing'"),
        ("settings='default'", "settings: must be a tuple of texts"),
        ("settings=('w=majorty',)", "settings: 'w=majorty'"),
        ("settings=('w=1', 'w=1,retry=driver')", "settings: 'w=1' is listed 2 times"),
        ("faults=()", "faults: must be a tuple of names"),
        ("faults=('none', 'none')", "faults: 'none' is listed 2 times"),
        ("expected=(Expected(verdict='green'),)", "expected[0]: verdict 'green' is none of holds"),
        ("expected=(Expected(verdict='holds', variant='hardend'),)", "expected[0]: there is no variant 'hardend'"),
        ("expected=(Expected(verdict='holds', setting='W=1'),)", "expected[0]: 'W=1': unknown setting"),
        ("expected=[]", "expected: must be a tuple of Expected"),
        ("advice={'hardend': 'x'}", "advice: there is no variant 'hardend'; known: published"),
        ("declared_errors='ValueError'", "declared_errors: must be a tuple"),
        ("think_ms=-1", "think_ms: -1 is not a number of milliseconds"),
    ],
)
def test_an_invalid_record_is_told_field_by_field(tmp_path: Path, change: str, told: str) -> None:
    """Each mistake in the record is found before anything starts, and named by its field."""
    text = f"{VALID}\nfrom harness import Expected\nSCENARIO = Scenario(**{{**RECORD, **dict({change})}})\n"
    with pytest.raises(ScenarioError) as caught:
        load_scenario(str(write(tmp_path / "mine.py", text)))
    assert told in caught.value.message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """A record with two mistakes is refused once, with both."""
    text = f"{VALID}\nSCENARIO = Scenario(**{{**RECORD, 'contract': '', 'faults': ()}})\n"
    with pytest.raises(ScenarioError) as caught:
        load_scenario(str(write(tmp_path / "mine.py", text)))
    assert caught.value.message.count("\n  - ") == 2


def test_every_shipped_scenario_is_valid_and_bears_the_name_of_its_file() -> None:
    """What `harness scenarios` lists can be loaded, and the record's name is the name that finds it."""
    names = [path.stem for path in scenario_directory().glob("*.py")]
    assert set(names) <= set(available_scenarios())
    assert [load_scenario(name).scenario.name for name in names] == names


def test_an_unreadable_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be read is a harness error with the system's reason, not a traceback."""
    path = write(tmp_path / "mine.py")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(HarnessError, match="Permission denied"):
        load_scenario(str(path))
