"""Where the files lie that travel with the package: the scenario files and the assets of the report.

In a wheel they are inside the package (``harness/_scenarios``, ``harness/_reports``), so that a user's own packages
called ``scenarios`` or ``reports`` are never touched; in a checkout they are the folders beside it.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from harness.errors import HarnessError

_PACKAGE = Path(__file__).resolve().parent


def scenario_directory() -> Path:
    """Return the directory of the scenario files that ship with the harness. Raises HarnessError if it is missing."""
    return _find("scenarios", _PACKAGE)


def report_assets() -> Path:
    """Return the directory of the report's templates, scripts and styles. Raises HarnessError if it is missing."""
    return _find("reports", _PACKAGE)


def _find(name: str, package: Path) -> Path:
    inside = package / f"_{name}"
    if inside.is_dir():
        return inside
    beside = package.parent / name
    # Beside an installed package lie other people's packages: only a checkout has the project file there too.
    if beside.is_dir() and (package.parent / "pyproject.toml").is_file():
        return beside
    raise HarnessError(
        f"looking for the {name} of the harness: neither {inside} nor {beside} is there",
        next_step="the installation is incomplete: install mongodb-pattern-harness again",
    )


@functools.cache
def code_digest() -> str:
    """Return a digest of the harness's own sources: simulated results of other code are not compared with these."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
