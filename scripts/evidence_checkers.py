"""The checkers against brute force, at full size; resumable, its results are kept under docs/evidence/.

    python scripts/evidence_checkers.py                  every case, 50,000 random histories each
    python scripts/evidence_checkers.py register         only cases whose name contains this text
    python scripts/evidence_checkers.py --slice 200      so many histories a case, printed alone and not kept

Cases are what the modules of tests/support/checker_cases/ offer as ``CASES``. A case is one line of
docs/evidence/checkers.jsonl; one that is there already for the code as it is now is not run again (--anew starts over).
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
EVIDENCE = ROOT / "docs" / "evidence"
SUPPORT = ROOT / "tests" / "support"
HISTORIES = 50_000
CHUNK = 2_500
"""Histories between two words on how far a case is."""
LEAST_SHARE = 0.05
"""Of its histories, at least this share must have each verdict: else the case shows little."""

if TYPE_CHECKING:
    from checker_cases.tally import Case, Tally

Line = dict[str, Any]


def load_cases() -> dict[str, Case]:
    """Return every case by its name; the names of two must differ."""
    sys.path.insert(0, str(SUPPORT))
    cases: dict[str, Case] = {}
    for path in sorted((SUPPORT / "checker_cases").glob("*.py")):
        for name, case in getattr(importlib.import_module(f"checker_cases.{path.stem}"), "CASES", {}).items():
            if name in cases:
                raise SystemExit(f"two cases are named {name!r}; the second is in {path.name}")
            cases[name] = case
    return cases


def run_case(case: Case, histories: int, *, tell: bool) -> Line:
    """Judge seeds 0 to ``histories`` and return the line of the case."""
    began = time.monotonic()
    verdicts, algorithms = Counter[str](), Counter[str]()
    mismatches, told, done = 0, [], 0
    for first in range(0, histories, CHUNK):
        tally: Tally = case(range(first, min(first + CHUNK, histories)))
        verdicts.update(tally.verdicts)
        algorithms.update(tally.algorithms)
        mismatches, done = mismatches + tally.mismatches, done + tally.histories
        told += tally.told[: 5 - len(told)]
        if tell:
            print(f"  {done:,} of {histories:,}, mismatches: {mismatches}", flush=True)
    return {
        "histories": done,
        "verdicts": dict(sorted(verdicts.items())),
        "algorithms": dict(sorted(algorithms.items())),
        "mismatches": mismatches,
        "told": told,
        "seconds": round(time.monotonic() - began, 1),
    }


def is_promised(line: Line) -> bool:
    """Whether nothing differed and both verdicts were common enough to mean something."""
    least = LEAST_SHARE * line["histories"]
    both = all(line["verdicts"].get(verdict, 0) >= least for verdict in ("holds", "violated"))
    return line["mismatches"] == 0 and line["histories"] > 0 and both


def told_of(line: Line) -> str:
    """Return what is printed of a line."""
    verdicts = ", ".join(f"{verdict} {count:,}" for verdict, count in line["verdicts"].items())
    told = "".join(f"\n    {each}" for each in line["told"])
    return f"{line['mismatches']} mismatches in {line['histories']:,} ({verdicts}), {line['seconds']} s{told}"


def page(lines: list[Line]) -> str:
    """Return the kept lines as a Markdown page."""
    dates = sorted({line["date"] for line in lines})
    rows = [
        f"| {line['case']} | {line['histories']:,} | {line['verdicts'].get('holds', 0):,} "
        f"| {line['verdicts'].get('violated', 0):,} | {line['mismatches']} "
        f"| {', '.join(f'{name} {count:,}' for name, count in line['algorithms'].items()) or '-'} "
        f"| {line['seconds']} | {line['date']} |"
        for line in lines
    ]
    return "\n".join(
        (
            "# Evidence: checkers",
            "",
            f"`make evidence-checkers`, {dates[0]} to {dates[-1]}, 2 cores that other jobs shared.",
            "",
            "Each case judges random small histories, with operations that failed and operations of unknown outcome, "
            "by the checker and by brute force over all orders. A mismatch is any difference of verdicts; `unknown` "
            "counts as one.",
            "",
            f"Cases as promised: {sum(map(is_promised, lines))} of {len(lines)}.",
            "",
            "| case | histories | holds | violated | mismatches | decided by | s | date |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
        )
    )


def read_lines(path: Path) -> list[Line]:
    """Return the kept lines, none where there are none yet."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def gather(cases: dict[str, Case], *, only: str, anew: bool, histories: int) -> int:
    """Run the cases that are missing and write the page; return 1 where one is not as promised."""
    from harness.assets import code_digest

    code = code_digest()
    kept = EVIDENCE / "checkers.jsonl"
    EVIDENCE.mkdir(parents=True, exist_ok=True)
    lines = {line["case"]: line for line in read_lines(kept) if line["case"] in cases}
    fresh = () if anew else {name for name, line in lines.items() if line["code"] == code}
    todo = [name for name in cases if only in name and name not in fresh]
    print(f"checkers: {len(cases) - len(todo)} cases are kept or left out, {len(todo)} to run", flush=True)
    for number, name in enumerate(todo, start=1):
        line = {"case": name, "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", "code": code}
        lines[name] = line | run_case(cases[name], histories, tell=True)
        ordered = [lines[each] for each in cases if each in lines]
        kept.write_text("".join(json.dumps(each) + "\n" for each in ordered))
        (EVIDENCE / "checkers.md").write_text(page(ordered))
        print(f"[{number}/{len(todo)}] {name}: {told_of(lines[name])}", flush=True)
    judged = [line for name, line in lines.items() if only in name]
    return 0 if judged and all(map(is_promised, judged)) else 1


def run_slice(cases: dict[str, Case], *, only: str, histories: int) -> int:
    """Judge a few histories of every case and print what came out; return 1 at a mismatch."""
    mismatches = 0
    for name, case in cases.items():
        if only in name:
            line = run_case(case, histories, tell=False)
            mismatches += line["mismatches"]
            print(f"{name}: {told_of(line)}", flush=True)
    print(f"full size: {HISTORIES:,} histories a case (make evidence-checkers)")
    return 1 if mismatches else 0


def main() -> int:
    """Do what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="?", default="", help="only cases whose name contains this text")
    parser.add_argument("--histories", type=int, default=HISTORIES)
    parser.add_argument("--slice", type=int, default=0, help="so many histories a case, nothing kept")
    parser.add_argument("--anew", action="store_true", help="run cases again that are kept")
    arguments = parser.parse_args()
    cases = load_cases()
    if arguments.slice:
        return run_slice(cases, only=arguments.only, histories=arguments.slice)
    return gather(cases, only=arguments.only, anew=arguments.anew, histories=arguments.histories)


if __name__ == "__main__":
    sys.exit(main())
