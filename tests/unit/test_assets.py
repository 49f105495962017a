"""Where the files that travel with the package are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.assets import _find, report_assets, scenario_directory
from harness.errors import HarnessError


def test_a_checkout_uses_the_folders_beside_the_package() -> None:
    """In this checkout the scenarios are those that are edited."""
    root = Path(__file__).parents[2]
    assert scenario_directory() == root / "scenarios"
    assert report_assets() == root / "reports"


def test_an_installed_package_uses_what_is_inside_it(tmp_path: Path) -> None:
    """The folder inside the package wins over a folder of that name beside it, which belongs to somebody else."""
    inside = tmp_path / "harness" / "_scenarios"
    inside.mkdir(parents=True)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    assert _find("scenarios", tmp_path / "harness") == inside


def test_a_stranger_beside_the_package_is_never_used(tmp_path: Path) -> None:
    """Without its own files the installation is incomplete; another package's folder does not stand in."""
    (tmp_path / "harness").mkdir()
    (tmp_path / "scenarios").mkdir()
    with pytest.raises(HarnessError, match="looking for the scenarios"):
        _find("scenarios", tmp_path / "harness")
