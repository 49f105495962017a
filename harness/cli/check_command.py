"""``harness check``: a stored run or campaign judged again, or a history of any origin judged by a model."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness import store
from harness.cli.options import Flag
from harness.cli.stored_commands import RunsOption
from harness.errors import HistoryError, UsageError, unknown_name
from harness.exchange.edn import Reader
from harness.exchange.files import Format, format_of_name, read_history, write_history
from harness.exchange.judging import ALL_KEYS, judge_model
from harness.exchange.pairing import Imported, Trust
from harness.exchange.steps import FUNCTIONS
from harness.journal import ENCODER
from harness.report.summary import verdict_table
from harness.run.judge import EXIT_CODES, exit_code
from harness.run.rejudge import rejudge
from harness.verdict import Anomaly, Verdict

_LINES_SHOWN = 12
_LONG_BYTES = 20_000_000
_LONG_OPERATIONS = 100_000


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """What may be said of a history from a file."""

    model: Annotated[str, Parameter(show_default=False)] = ""
    """Judge linearizability: `register`, `cas-register`."""
    key: Annotated[str, Parameter(show_default=False)] = ""
    """Judge the operations on this key alone (in EDN: `3`, `:a`, `"a"`)."""
    initial: str = "nil"
    """What each object starts with (in EDN)."""
    independent: Flag = False
    """Values are [key value], as `jepsen.independent` writes them without its tag."""
    format: Annotated[Format | None, Parameter(show_default=False)] = None
    """Format of the file; else guessed from its content."""
    trust: Trust = "both"
    """What tells the order of events where lines and times disagree: `lines`, `times`; `both` refuses that."""
    export: Annotated[Path | None, Parameter(show_default=False)] = None
    """Write the history to this file, in the format of its name: `.edn`, `.log`, `.jsonl`, `.edn.gz`, `.jsonl.gz`."""


def check(
    run: Annotated[
        str, Parameter(name="TARGET", help="A file with a history; or a run or campaign: path, id, `latest`.")
    ],
    /,
    *,
    options: CheckOptions = CheckOptions(),
    runs: RunsOption = Path("runs"),
    expect: Annotated[bool, Parameter(negative="", help="Judge a run against the declared verdicts.")] = False,
    json: Annotated[bool, Parameter(negative="", help="Print verdicts as JSON lines to standard output.")] = False,
) -> int:
    """Judge a history from a file; or a stored run or campaign again, from its files alone, its verdicts written anew.

    For example:

        harness check history.edn --model cas-register

        harness check latest
    """
    console = Console(stderr=True)
    path = Path(run)
    if path.is_file():
        return _check_file(path, options, console, as_json=json)
    if options != CheckOptions():
        raise UsageError(f"{run} is no file, and only files are judged by a model", next_step="name the history's file")
    results = rejudge(store.find(runs, run), lambda text: console.print(text, highlight=False, soft_wrap=True))
    console.print(verdict_table(results), highlight=False, markup=False, soft_wrap=True)
    if json:
        for result in results:
            sys.stdout.write(ENCODER.encode(result).decode() + "\n")
    return exit_code(results, against_expected=expect)


def _check_file(path: Path, options: CheckOptions, console: Console, *, as_json: bool) -> int:
    _refuse_nonsense(path, options)
    with _stage(console, f"reading {path}", long=path.stat().st_size > _LONG_BYTES):
        imported = read_history(path, kind=options.format, trust=options.trust, independent=options.independent)
    _say(console, f"{path}: {_counts(imported)}")
    for note in imported.notes:
        _say(console, f"note: {note}")
    if options.export is not None:
        write_history(options.export, imported)
        _say(console, f"written: {options.export}")
    if not options.model:
        return 0
    size = len(imported.history.operations)
    with _stage(console, f"judging {size:,} operations as {options.model}", long=size > _LONG_OPERATIONS):
        verdict = judge_model(
            imported, options.model, key=_edn(options.key, "--key"), initial=_edn(options.initial, "--initial")
        )
    if as_json:
        sys.stdout.write(ENCODER.encode(verdict).decode() + "\n")
    show_verdict(imported, verdict, console)
    _say(console, f"repeat: {repeat_command(path, options)}")
    return EXIT_CODES[verdict.status]


@contextlib.contextmanager
def _stage(console: Console, text: str, *, long: bool) -> Iterator[None]:
    """Show what goes on: a live line on a terminal, elsewhere a plain one before what takes long."""
    if long and not console.is_terminal:
        _say(console, text)
    with console.status(text):
        yield


def _refuse_nonsense(path: Path, options: CheckOptions) -> None:
    if not options.model and options.export is None:
        raise UsageError(
            f"{path} is a history, and nothing says what it must keep", next_step="add --model NAME, or --export FILE"
        )
    if options.model and options.model not in FUNCTIONS:
        raise unknown_name("model", options.model, FUNCTIONS)
    if options.export is not None:
        format_of_name(options.export)
        if options.export.exists():
            raise UsageError(f"{options.export} is there already", next_step="name another file, or remove it")


def _edn(text: str, option: str) -> object:
    if not text:
        return ALL_KEYS
    reader = Reader(text, option)
    try:
        value: object = reader.value()
        complete = reader.at_end()
    except HistoryError as error:
        raise UsageError(f"{option} {text!r} is no value of EDN: {error.message}") from error
    if not complete:
        raise UsageError(f"{option} {text!r} is more than one value of EDN", next_step="quote it as one")
    return value


def _counts(imported: Imported) -> str:
    counts = {"ok": 0, "fail": 0, "info": 0}
    for operation in imported.history.operations:
        counts[operation.status] += 1
    words = ", ".join(f"{count:,} {status}" for status, count in counts.items())
    return f"{len(imported.history.operations):,} operations of {len(imported.history.by_process):,} processes, {words}"


def show_verdict(imported: Imported, verdict: Verdict, console: Console) -> None:
    """Print a verdict: each anomaly with its operations, lines and story, and what decided."""
    for anomaly in verdict.anomalies:
        _show_anomaly(imported, anomaly, console)
    if verdict.truncated:
        _say(console, f"and {verdict.truncated:,} more")
    if verdict.reason:
        _say(console, verdict.reason)
    _say(console, f"{verdict.status}: {verdict.checker}")


def _show_anomaly(imported: Imported, anomaly: Anomaly, console: Console) -> None:
    _say(console, f"{anomaly.kind}: {anomaly.guarantee}")
    for index in anomaly.operations[:_LINES_SHOWN]:
        operation = imported.history.operation(index)
        _say(console, f"  line {imported.lines[index]}: operation {index}, {operation.describe()}")
    for number, sentence in enumerate(anomaly.story, start=1):
        _say(console, f"  {number}. {sentence}")


def repeat_command(path: Path, options: CheckOptions) -> str:
    """Return the command that judges the same file in the same way."""
    words = ["harness", "check", str(path)]
    for field in fields(CheckOptions):
        value = getattr(options, field.name)
        if value != field.default and field.name != "export":
            words += [f"--{field.name}"] if value is True else [f"--{field.name}", str(value)]
    return shlex.join(words)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
