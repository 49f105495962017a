"""``harness doctor``: what this machine can run, and how to get what is missing."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from harness.cli.doctor import examine, render
from harness.journal import ENCODER


def doctor(
    *,
    mongod: Annotated[str, Parameter(show_default=False, help="Path of the mongod to look at.")] = "",
    json: Annotated[bool, Parameter(negative="", help="Print JSON lines to standard output.")] = False,
) -> int:
    """Say what this machine can run (mongod, Toxiproxy, Go, docker, browser, ports) and how to get what is missing."""
    findings = examine(mongod or None)
    if json:
        for finding in findings:
            sys.stdout.write(ENCODER.encode(finding).decode() + "\n")
    else:
        sys.stdout.write(render(findings))
    return 0
