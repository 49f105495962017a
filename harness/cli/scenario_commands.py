"""Commands on scenarios: ``scenarios`` lists them, ``new`` writes one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from harness.journal import ENCODER
from harness.scenario.describe import describe_scenario
from harness.scenario.load import available_scenarios, load_scenario
from harness.scenario.new import write_scenario


def scenarios(
    *, json: Annotated[bool, Parameter(negative="", help="Print JSON lines to standard output.")] = False
) -> int:
    """List the scenarios that can be named, with their variants and what they promise."""
    for name in available_scenarios():
        scenario = load_scenario(name).scenario
        if json:
            sys.stdout.write(ENCODER.encode(describe_scenario(scenario)).decode() + "\n")
        else:
            sys.stdout.write(f"{name}  ({', '.join(scenario.variants)})\n    {scenario.contract}\n")
    return 0


def new(
    name: Annotated[str, Parameter(help="Name of the scenario; the file is NAME.py.")],
    /,
    *,
    directory: Annotated[Path, Parameter(help="Where to write it.")] = Path(),
) -> int:
    """Write a scenario from a template that runs at once, and print its path.

    For example:

        harness new my_pattern

        harness run my_pattern.py --duration 10
    """
    path = write_scenario(name, directory)
    sys.stdout.write(f"{path}\n")
    sys.stderr.write(f"next: harness run {path} --variant all --duration 10\n")
    return 0
