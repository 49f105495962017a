"""The wheel: what a user installs beside a project that has packages of the same names."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def call(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command and return what it printed; its errors show where it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel offline, with the build backend that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir")
    call(sys.executable, "-m", "pip", "wheel", *options, folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a fresh environment and return its folder of programs.

    Dependencies come from this environment, by a path file: they are not what is tested, and nothing is downloaded.
    """
    environment = tmp_path_factory.mktemp("environment")
    call(sys.executable, "-m", "venv", "--without-pip", environment, cwd=environment)
    programs = environment / "bin"
    install = ("-m", "pip", "--python", programs / "python", "install", "--no-deps", "--no-index", "--quiet")
    call(sys.executable, *install, wheel, cwd=environment)
    packages = Path(
        call(
            programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=environment
        ).strip()
    )
    (packages / "zz_dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return programs


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a user's project whose own packages are called as our folders, and must not be imported."""
    for name in ("scenarios", "reports", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(
            f"raise RuntimeError('the package {name} of the user was imported')\n"
        )
    return tmp_path


@pytest.mark.slow
def test_the_wheel_has_one_top_level_package(wheel: Path) -> None:
    """Only ``harness`` lands at top level, with the scenarios and the assets of the report inside it."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"harness"}
    shipped = {f"harness/_scenarios/{path.name}" for path in (ROOT / "scenarios").glob("*.py")}
    assert shipped <= set(names)
    assert any(name.startswith("harness/_reports/") for name in names)
    assert "harness/py.typed" in names
    assert "harness/scenario/template.py.txt" in names
    assert not [name for name in names if name.endswith(".pyc")]


@pytest.mark.slow
def test_scenarios_are_listed_from_the_wheel(installed: Path, project: Path) -> None:
    """Beside a project with packages called ``scenarios`` and ``reports``, the installed command lists its own."""
    listed = call(installed / "harness", "scenarios", cwd=project, PYTHONPATH=str(project))
    assert [path.stem for path in (ROOT / "scenarios").glob("*.py") if path.stem not in listed] == []


@pytest.mark.slow
def test_the_installed_package_uses_its_own_files(installed: Path, project: Path) -> None:
    """Scenarios and report assets are those inside the installed package, not a checkout's or the user's."""
    code = "from harness import assets; print(assets.scenario_directory()); print(assets.report_assets())"
    found = call(installed / "python", "-c", code, cwd=project, PYTHONPATH=str(project)).split()
    assert [Path(line).relative_to(installed.parent).name for line in found] == ["_scenarios", "_reports"]


@pytest.mark.slow
def test_a_new_scenario_loads_from_the_wheel(installed: Path, project: Path) -> None:
    """The template travels with the wheel, and what it writes is a valid scenario there."""
    call(installed / "harness", "new", "my_pattern", cwd=project, PYTHONPATH=str(project))
    code = "from harness.scenario.load import load_scenario; print(load_scenario('my_pattern.py').scenario.name)"
    assert call(installed / "python", "-c", code, cwd=project).strip() == "my_pattern"
