"""Writes a first scenario from a template that runs at once and explains itself."""

from __future__ import annotations

import keyword
import re
import shlex
from pathlib import Path

from harness.errors import StoreError, UsageError

_TEMPLATE = Path(__file__).with_name("template.py.txt")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def write_scenario(name: str, directory: Path) -> Path:
    """Write ``NAME.py`` into ``directory``, which is made if need be, and return its path.

    Raises UsageError for a name that is no lower-case Python identifier and for a file that exists already, and
    StoreError where the file cannot be written.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} cannot be the name of a scenario",
            next_step=f"write lower-case letters, digits and '_', a letter first: {_suggest(name)}",
        )
    path = directory / f"{name}.py"
    text = _TEMPLATE.read_text(encoding="utf-8").replace("@NAME@", name).replace("@FILE@", shlex.quote(str(path)))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Exclusive: a scenario that somebody has worked on is never written over.
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already", next_step="choose another name, or another --directory") from None
    except OSError as error:
        raise StoreError(
            f"writing {path}: {error.strerror or error}", next_step="choose another --directory"
        ) from error
    return path


def _suggest(name: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", name.removesuffix(".py").lower()).strip("_")
    return words if _NAME.fullmatch(words) and not keyword.iskeyword(words) else "my_pattern"
