"""The command ``harness``: what it is told, and how it answers.

Data goes to standard output, everything meant for a reader to standard error. Exit codes: 0 holds (or all as
expected), 1 violated (or a surprise), 2 unknown, 3 usage, 4 harness error.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import cyclopts
from rich.console import Console

import harness
from harness.cli.check_command import check
from harness.cli.doctor_command import doctor
from harness.cli.explore_command import explore
from harness.cli.fuzz_command import fuzz
from harness.cli.prove_command import prove
from harness.cli.replay_command import replay
from harness.cli.run_command import run
from harness.cli.scenario_commands import new, scenarios
from harness.cli.serve_command import serve
from harness.cli.shrink_command import shrink
from harness.cli.stored_commands import clean, report, runs
from harness.errors import HarnessError, UsageError, first_harness_error
from harness.faults.catalogue import FAULT_NAMES
from harness.settings import KEYS

HELP = """Judge a MongoDB pattern under concurrency and failure: may I adopt it, and under which settings?

Start here:

- `harness doctor` says what this machine can run
- `harness scenarios` lists the patterns that come with the harness
- `harness run write_concern --setting w=1 --fault partition-primary` judges one of them
- `harness new my_pattern`, then `harness run my_pattern.py`, judges a pattern of yours
- `harness report latest` renders the page to hand to a reviewer
"""

EPILOGUE = "Exit codes: 0 holds, 1 violated, 2 unknown, 3 usage, 4 harness error. With --expect: 0 when as declared."


def make_app() -> cyclopts.App:
    """Return the command-line application."""
    app = cyclopts.App(
        name="harness",
        help=HELP,
        help_epilogue=EPILOGUE,
        help_format="markdown",
        version=harness.__version__,
        error_console=Console(stderr=True),
        result_action="return_value",
    )
    app.command(run, help_epilogue=f"{names_epilogue()}\n\n{EPILOGUE}")
    for command in (explore, fuzz, replay, shrink, prove, scenarios, check, report, runs, new, clean, doctor, serve):
        app.command(command)
    return app


def names_epilogue() -> str:
    """Return the names of faults and settings, for ``harness run --help``."""
    faults = "\n".join(f"- `{name}`: {what}" for name, what in FAULT_NAMES.items())
    settings = ", ".join(f"`{key}`" for key in KEYS)
    return f"Faults:\n\n{faults}\n\nSettings: {settings}."


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    sys.exit(execute(arguments))


def execute(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every error ends as words on standard error."""
    try:
        result: Any = make_app()(arguments, exit_on_error=False, print_error=True)
    except cyclopts.CycloptsError:
        return UsageError.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("stopped; what was recorded is kept\n")
        return HarnessError.exit_code
    except BrokenPipeError:
        # Whoever read the data (`| head`) has had enough; the interpreter must not try to flush the rest.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - lives as long as the process
        return 0
    except Exception as error:  # noqa: BLE001 - the last place where an error can be put into words
        known = first_harness_error(error)
        return fail(known) if known else crash(error)
    return int(result or 0)


def fail(error: HarnessError) -> int:
    """Put a HarnessError into words and return its exit code."""
    sys.stderr.write(f"error: {error}\n")
    return error.exit_code


def crash(error: BaseException) -> int:
    """Put a defect of the harness into words, with its traceback for the report of it."""
    sys.stderr.write("".join(traceback.format_exception(error)))
    sys.stderr.write(
        f"error: the harness itself failed ({type(error).__name__}); this is a defect of the harness, not of the "
        "pattern\n  next: report it with the lines above; what was recorded is kept, see `harness runs`\n"
    )
    return HarnessError.exit_code


if __name__ == "__main__":
    main()
