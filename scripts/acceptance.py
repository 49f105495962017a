"""Runs the acceptance table on real mongod: each command as a user types it, its verdict against the expected one.

    python scripts/acceptance.py [--duration 30] [--only WORD]

Every row is a process of its own. Prints a line a row and exits 1 if a row came out otherwise, or was not run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A command (after ``harness run``), the verdict it must give, and the kind of anomaly it must show."""

    command: str
    verdict: str
    anomaly: str = ""


LOST = "lost-write"
ROWS = (
    Row("write_concern --setting w=1 --fault partition-primary", "violated", LOST),
    Row("write_concern --setting w=majority --fault partition-primary", "holds"),
    Row("optimistic_lock --variant published", "violated", "lost-update"),
    Row("optimistic_lock --variant hardened --fault kill-primary", "holds"),
    Row("immutable_document --variant published", "violated", "forked-history"),
    Row("immutable_document --variant hardened", "holds"),
    Row("lww_register --variant published", "violated", "unexpected-error"),
    Row("lww_register --variant hardened", "holds"),
    Row("transfer --variant published", "violated", "money-vanished"),
    Row("transfer --variant hardened --fault partition-primary", "holds"),
    Row("find_and_modify --setting w=1 --fault partition-primary", "violated"),
    Row("write_concern --setting w=1 --fault partition-primary --network toxiproxy", "violated", LOST),
    Row("write_concern --setting w=majority --fault partition-primary --network toxiproxy", "holds"),
    Row("find_and_modify --setting w=1 --fault partition-primary --network toxiproxy", "violated"),
)
EXIT_CODES = {"holds": 0, "violated": 1, "unknown": 2}


def run_row(row: Row, harness: Path, arguments: argparse.Namespace) -> str:
    """Run a row; return what is wrong with its outcome, or an empty text."""
    command = [
        str(harness),
        "run",
        *row.command.split(),
        "--clients",
        "5",
        "--duration",
        str(arguments.duration),
        "--runs",
        str(arguments.runs),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=arguments.duration + 120, check=False)
    if done.returncode != EXIT_CODES[row.verdict]:
        return f"exit code {done.returncode}, expected {EXIT_CODES[row.verdict]}\n{done.stdout}{done.stderr}"
    cells = [json.loads(line) for line in done.stdout.splitlines()]
    if [cell["status"] for cell in cells] != [row.verdict]:
        return f"cells are {[cell['status'] for cell in cells]}\n{done.stderr}"
    if row.anomaly and row.anomaly not in cells[0]["anomalies"]:
        return f"anomalies are {cells[0]['anomalies']}, {row.anomaly} was expected"
    if "toxiproxy" in row.command and "note:" in done.stderr:
        return f"it did not run through Toxiproxy\n{done.stderr}"
    return ""


def summary_of(row: Row) -> str:
    """Return the row as a user types it, with its verdict."""
    return f"harness run {row.command}: {row.verdict}{f' ({row.anomaly})' if row.anomaly else ''}"


def main() -> int:
    """Run the table and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=30.0, help="seconds of load a row")
    parser.add_argument("--only", default="", help="run the rows whose command contains this text")
    parser.add_argument("--runs", type=Path, default=Path("runs") / "acceptance", help="the store")
    parser.add_argument("--harness", type=Path, default=Path(sys.executable).with_name("harness"))
    arguments = parser.parse_args()
    rows = [row for row in ROWS if arguments.only in row.command]
    wrong = 0
    for number, row in enumerate(rows, start=1):
        began = time.monotonic()
        problem = run_row(row, arguments.harness, arguments)
        wrong += bool(problem)
        mark = "WRONG" if problem else "ok"
        print(f"[{number}/{len(rows)}] {mark:>5} {time.monotonic() - began:5.1f} s  {summary_of(row)}", flush=True)
        if problem:
            print(problem, flush=True)
    print(
        f"acceptance: {len(rows) - wrong} passed, {wrong} failed of {len(rows)} rows, {arguments.duration:g} s of load"
    )
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
