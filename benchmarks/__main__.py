"""Runs all benchmarks, prints ours, peer and ratio, and writes ``benchmarks/out/NAME.json``.

python -m benchmarks [NAME ...] [--rounds 5] [--seconds 3]
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

NAMES = ("ready", "driver_throughput", "links", "run_cost", "kernel", "simulator", "exhaustive", "exchange")
OUT = Path(__file__).with_name("out")


def line(row: dict[str, Any]) -> str:
    """Return a figure as one line: name, ours, peer, ratio."""
    peer = "-" if row["peer"] is None else f"{row['peer']:,.2f}"
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
    return f"{row['name']:<58} {row['ours']:>12,.2f} {peer:>12} {ratio:>7}  {row['unit']}"


def main() -> int:
    """Run the benchmarks that are named, or all, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(NAMES), help=f"of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds of each figure")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds a round")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(NAMES))
    if unknown:
        parser.error(f"unknown benchmarks {', '.join(unknown)}; known are {', '.join(NAMES)}")
    OUT.mkdir(exist_ok=True)
    print(f"{'figure':<58} {'ours':>12} {'peer':>12} {'ratio':>7}  unit")
    for name in arguments.names:
        rows = importlib.import_module(f"benchmarks.{name}").measure(arguments.rounds, arguments.seconds)
        (OUT / f"{name}.json").write_text(json.dumps(rows, indent=1) + "\n")
        for row in rows:
            print(line(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
