"""Finds scenarios and loads them: by name, by the path of a file anywhere, or from an installed plugin.

A file runs as a module of its own under a name that nothing else uses; no package called ``scenarios`` is ever
imported. A user's file may import what lies beside it: its folder goes to the end of ``sys.path``, where it can
shadow nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from harness.assets import scenario_directory
from harness.errors import HarnessError, ScenarioError, UsageError, unknown_name
from harness.scenario.record import Scenario
from harness.scenario.validate import find_problems

ATTRIBUTE = "SCENARIO"
"""The module-level name of the record in a scenario file."""

ENTRY_POINT_GROUP = "harness.scenarios"
"""Where an installed plugin names its scenario modules: ``NAME = "package.module"``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedScenario:
    """A valid scenario and where it came from.

    ``source`` is the name or path by which it was asked for, and loads it again; ``path`` is its file, absolute;
    ``digest`` is the SHA-256 of the file's content, in hexadecimal.
    """

    scenario: Scenario
    source: str
    path: Path
    digest: str


def available_scenarios() -> tuple[str, ...]:
    """Return the names that can be loaded, sorted: scenarios that ship with the harness, and those of plugins."""
    return tuple(sorted(_providers()))


def load_scenario(name_or_path: str) -> LoadedScenario:
    """Return the scenario of that name, or the one in the file at that path (it ends in ``.py`` or has a slash).

    Raises UsageError where there is none of that name (with the near matches), where several provide it, or where
    the file does not exist; ScenarioError, with the file's own line, where it does not import or is not valid.
    """
    if name_or_path.endswith(".py") or "/" in name_or_path:
        return _load_path(name_or_path)
    providers = _providers().get(name_or_path, ())
    if not providers:
        raise _unknown_scenario(name_or_path)
    if len(providers) > 1:
        names = " and by ".join(_provider_name(provider) for provider in providers)
        raise UsageError(f"scenario {name_or_path!r} is provided by {names}", next_step="name its file instead")
    if isinstance(providers[0], EntryPoint):
        return _load_plugin(providers[0], source=name_or_path)
    return _load_file(providers[0], source=name_or_path)


def _providers() -> dict[str, tuple[Path | EntryPoint, ...]]:
    """Return, for each name, the shipped file and the plugins that provide it."""
    shipped = (path for path in scenario_directory().glob("*.py") if not path.name.startswith("_"))
    found: dict[str, tuple[Path | EntryPoint, ...]] = {path.stem: (path,) for path in shipped}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def _provider_name(provider: Path | EntryPoint) -> str:
    if isinstance(provider, Path):
        return "the harness"
    return provider.dist.name if provider.dist else provider.module


def _unknown_scenario(name: str) -> UsageError:
    here = Path(f"{name}.py")
    if here.is_file():
        return UsageError(f"unknown scenario {name!r}", next_step=f"a file is named by its path: {here}")
    return unknown_name("scenario", name, available_scenarios())


def _load_path(text: str) -> LoadedScenario:
    path = Path(text).resolve()
    if path.is_dir():
        raise UsageError(f"{text} is a directory, not a scenario file", next_step="name one file in it")
    if not path.exists():
        near = sorted(item.name for item in path.parent.glob("*.py")) if path.parent.is_dir() else []
        raise UsageError(
            f"there is no scenario file {text}",
            next_step=f"in that folder: {', '.join(near)}" if near else "`harness new NAME` writes one from a template",
        )
    folder = str(path.parent)
    if folder not in sys.path and path.parent != scenario_directory():
        sys.path.append(folder)
    return _load_file(path, source=text)


def _load_file(path: Path, *, source: str) -> LoadedScenario:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ScenarioError(f"reading scenario file {path}: {error.strerror or error}") from error
    module = _translate_errors(path, lambda: _run_as_module(path, content))
    return _loaded(_scenario_of(module, ATTRIBUTE, path), source, path, content)


def _load_plugin(entry: EntryPoint, *, source: str) -> LoadedScenario:
    # A plugin is a package: it is imported under its own name, so that its relative imports work.
    module = _translate_errors(Path(entry.module), lambda: importlib.import_module(entry.module))
    if module.__file__ is None:
        raise ScenarioError(f"plugin {entry.name!r} names {entry.module}, which is a folder and no module with a file")
    path = Path(module.__file__).resolve()
    return _loaded(_scenario_of(module, entry.attr or ATTRIBUTE, path), source, path, path.read_bytes())


def _loaded(scenario: Scenario, source: str, path: Path, content: bytes) -> LoadedScenario:
    problems = find_problems(scenario)
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise ScenarioError(
            f"scenario file {path}: the scenario is not valid:{listed}",
            next_step="correct the record; `harness new NAME` writes a valid one to compare with",
        )
    return LoadedScenario(scenario=scenario, source=source, path=path, digest=hashlib.sha256(content).hexdigest())


def _run_as_module(path: Path, content: bytes) -> ModuleType:
    """Run exactly ``content``: a byte-code cache could be older than what the digest says."""
    key = hashlib.sha256(str(path).encode() + b"\0" + content).hexdigest()[:12]
    name = f"harness_scenario_{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}_{key}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    code = compile(content, str(path), "exec", dont_inherit=True)
    # Registered first: dataclasses and annotations look their module up while it runs.
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 - running the user's file is the purpose
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _scenario_of(module: ModuleType, attribute: str, path: Path) -> Scenario:
    value = getattr(module, attribute, None)
    if isinstance(value, Scenario):
        return value
    if value is not None:
        raise ScenarioError(
            f"scenario file {path}: {attribute} is of type {type(value).__name__}, not harness.Scenario",
            next_step=f"write {attribute} = Scenario(...) at module level",
        )
    other = next((name for name, item in vars(module).items() if isinstance(item, Scenario)), None)
    raise ScenarioError(
        f"scenario file {path} has no {attribute}",
        next_step=f"rename {other} to {attribute}" if other else f"write {attribute} = Scenario(...) at module level",
    )


def _translate_errors(path: Path, load: Callable[[], ModuleType]) -> ModuleType:
    try:
        return load()
    except (Exception, SystemExit) as error:
        raise ScenarioError(
            f"scenario file {_place(path, error)} does not load: {type(error).__name__}: {_words(error)}",
            next_step=_next_step(path, error),
        ) from error


def _words(error: BaseException) -> str:
    if isinstance(error, HarnessError):
        return error.message
    return error.msg if isinstance(error, SyntaxError) else str(error)


def _place(path: Path, error: BaseException) -> str:
    """Return file and line in the user's own file, and where the error came from if that is another file."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    own = next((frame for frame in reversed(frames) if frame.filename == str(path)), None)
    place = f"{own.filename}:{own.lineno}" if own else str(path)
    last = frames[-1]
    return place if last.filename in {str(path), __file__} else f"{place} (raised at {last.filename}:{last.lineno})"


def _next_step(path: Path, error: BaseException) -> str:
    if isinstance(error, HarnessError) and error.next_step:
        return error.next_step
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return f"install {package} beside the harness (in {sys.prefix}), or put its folder on PYTHONPATH"
    return f"correct that line; `{sys.executable} {path}` shows the whole traceback"
