"""Full-size acceptance runs on real mongod, resumable; their results are kept under docs/evidence/.

    python scripts/evidence.py matrix       every cell of every scenario once, against its declared verdict
    python scripts/evidence.py ten-of-ten   every cell that is declared violated, ten runs: each must show it

Each cell is one line of docs/evidence/NAME.jsonl; a cell that is there already is not run again (--anew starts over).
docs/evidence/NAME.md is written from these lines.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.scenario.load import available_scenarios, load_scenario
from harness.settings import parse_settings

HARNESS = Path(sys.executable).with_name("harness")
EVIDENCE = Path(__file__).parents[1] / "docs" / "evidence"
NAMES = ("matrix", "ten-of-ten")
RUNS_OF_TEN = 10

Cell = tuple[str, str, str, str]
"""Scenario, variant, setting, fault."""


def cells_of(name: str) -> Iterator[tuple[Cell, str]]:
    """Yield the cells that a kind of evidence is about, with their declared verdicts."""
    for scenario_name in available_scenarios():
        scenario = load_scenario(scenario_name).scenario
        for variant in scenario.variants:
            for setting in scenario.settings:
                for fault in scenario.faults:
                    expected = scenario.expectation(variant, parse_settings(setting), fault)
                    verdict = expected.verdict if expected else "undeclared"
                    if verdict != "not-applicable" and (name == "matrix" or verdict == "violated"):
                        yield (scenario.name, variant, setting, fault), verdict


def run_cell(cell: Cell, *, runs: int, duration_s: float, clients: int, store: Path) -> dict[str, Any]:
    """Run a cell as a user would and return what came out, as it is kept."""
    scenario, variant, setting, fault = cell
    command = [str(HARNESS), "run", scenario, "--variant", variant, "--setting", setting, "--fault", fault]
    command += ["--repeat", str(runs), "--duration", f"{duration_s:g}", "--clients", str(clients)]
    done = subprocess.run([*command, "--runs", str(store), "--json"], capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        return {"status": "harness error", "words": done.stderr.strip().splitlines()[-1:]}
    (result,) = (json.loads(line) for line in done.stdout.splitlines())
    return {
        "status": result["status"],
        "violated_runs": result.get("violated_runs", 0),
        "runs": len(result["runs"]),
        "anomalies": result.get("anomalies", {}),
        "reasons": result.get("reasons", []),
        "ok": result["evidence"].get("ok", 0),
        "strikes": result["evidence"].get("effective_strikes", 0),
    }


def as_promised(name: str, line: dict[str, Any]) -> str:
    """Return how a cell came out against what is declared: ``yes``, ``no`` or ``unknown``."""
    if name == "ten-of-ten":
        return "yes" if line["status"] == "violated" and line["violated_runs"] == line["runs"] else "no"
    if line["expected"] == "may-violate" and line["status"] in {"holds", "violated"}:
        return "yes"
    return "unknown" if line["status"] == "unknown" else "yes" if line["status"] == line["expected"] else "no"


def page(name: str, lines: list[dict[str, Any]]) -> str:
    """Return the kept lines as a Markdown page."""
    verdicts = [as_promised(name, line) for line in lines]
    dates = sorted({line["date"] for line in lines})
    promised = verdicts.count("yes")
    rows = [
        f"| {line['scenario']} | {line['variant']} | {line['setting']} | {line['fault']} | {line['expected']} "
        f"| {line['clients']} x {line['duration_s']:g} s "
        f"| {line['status']} | {line.get('violated_runs', 0)} of {line.get('runs', 0)} "
        f"| {', '.join(f'{kind} ({count})' for kind, count in line.get('anomalies', {}).items()) or '-'} "
        f"| {verdict} |"
        for line, verdict in zip(lines, verdicts, strict=True)
    ]
    return "\n".join(
        (
            f"# Evidence: {name}",
            "",
            f"`make evidence-{name}`, {dates[0]} to {dates[-1]}, mongod 6.0.5 on 2 cores.",
            f"As promised: {promised} of {len(lines)} cells; otherwise: {verdicts.count('no')}; else unknown.",
            "Load: clients x seconds a run.",
            "",
            "| scenario | variant | setting | fault | declared | load | verdict | violated runs | found | promised |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
        )
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the kept lines, none where there are none yet."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> int:
    """Run what is missing; return 1 where a cell came out otherwise than promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--duration", type=float, default=0, help="seconds of load a run (matrix 30, ten-of-ten 10)")
    parser.add_argument("--clients", type=int, default=5)
    parser.add_argument("--only", default="", help="only cells that contain this text, as `transfer published default`")
    parser.add_argument("--anew", action="store_true", help="forget what is kept")
    parser.add_argument("--runs", type=Path, default=Path("runs") / "evidence", help="the store")
    arguments = parser.parse_args()
    name, kept = arguments.name, EVIDENCE / f"{arguments.name}.jsonl"
    duration_s = arguments.duration or {"matrix": 30.0, "ten-of-ten": 10.0}[name]
    if arguments.anew:
        kept.unlink(missing_ok=True)
    EVIDENCE.mkdir(parents=True, exist_ok=True)
    done = {tuple(line[key] for key in ("scenario", "variant", "setting", "fault")) for line in read_lines(kept)}
    todo = [
        (cell, expected) for cell, expected in cells_of(name) if cell not in done and arguments.only in " ".join(cell)
    ]
    print(f"{name}: {len(done)} cells are kept, {len(todo)} to run", flush=True)
    for number, (cell, expected) in enumerate(todo, start=1):
        outcome = run_cell(
            cell,
            runs=RUNS_OF_TEN if name == "ten-of-ten" else 1,
            duration_s=duration_s,
            clients=arguments.clients,
            store=arguments.runs,
        )
        line = dict(zip(("scenario", "variant", "setting", "fault"), cell, strict=True))
        line |= {"expected": expected, "duration_s": duration_s, "clients": arguments.clients}
        line |= {"date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", **outcome}
        with kept.open("a") as file:
            file.write(json.dumps(line) + "\n")
        (EVIDENCE / f"{name}.md").write_text(page(name, read_lines(kept)))
        print(f"[{number}/{len(todo)}] {as_promised(name, line):<7} {' '.join(cell)}: {outcome}", flush=True)
    if read_lines(kept):
        (EVIDENCE / f"{name}.md").write_text(page(name, read_lines(kept)))
    return 1 if any(as_promised(name, line) == "no" for line in read_lines(kept)) else 0


if __name__ == "__main__":
    sys.exit(main())
