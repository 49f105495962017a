"""Full-size evidence from the simulator, resumable; its results are kept under docs/evidence/.

    python scripts/evidence_sim.py zoo      every known bug, shrunk from three runs, against its optimum
    python scripts/evidence_sim.py concerns what shows at each pair of read and write concern, over 300 seeds a cell
    python scripts/evidence_sim.py mutants  every wrong server over 500 seeds, against the right one over the same
    python scripts/evidence_sim.py digests  10,000 seeds in two processes with different hash seeds

Each case is one line of docs/evidence/NAME.jsonl; a case that is there already is not run again (--anew starts over).
docs/evidence/NAME.md is written from these lines.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).parents[1]
EVIDENCE = ROOT / "docs" / "evidence"
ZOO_RUNS = 3
"""Runs of a bug that are shrunk."""
ZOO_SHARE = 0.95
ZOO_SLACK = 1
ZOO_TOLD = (
    "The optimum of a bug is the smallest part of its drawn workload for which some schedule of at most three "
    "deviations, of whatever kind, shows it. It was found by exhaustive search of parts in ascending size, without the "
    "shrinker (`python tests/zoo/optimum.py`, kept in `tests/zoo/optima.json`)."
)
MUTANT_SEEDS = 500
MUTANTS_TOLD = (
    "A mutant is the simulated replica set with one thing wrong, behind a switch that only tests turn. It is caught "
    "where a seed of its cell shows the anomaly that the defect causes, to a check that knows nothing of the defect; "
    "the set's own invariants are off. The same seeds on the right server must show nothing. "
    "(`noop_majority_acknowledgement` is a defect of mongod 6.0.5, and on by default; its right server is one without.)"
)
DIGEST_CELLS, DIGEST_SEEDS, DIGEST_STRIDE = 40, 250, 37
DIGESTS_TOLD = (
    "A digest is made of every step of a run: choices, times, results. Each seed is run twice, in processes of their "
    "own with different hash seeds, and the digests are compared."
)
CONCERN_SEEDS = 300
RARE_SEEDS = 3000
CONCERNS_TOLD = (
    "Clients append tokens to one document and read it back, at the concerns of the cell and under its fault. Numbers "
    "are the seeds in which an anomaly showed; a dash stands where the documentation of the server rules it out, and "
    "there none may show. What the anomalies are, and which rule allows which, is said in "
    "`tests/semantics/concern_matrix.py` and `tests/semantics/scenarios/concerns.py`."
)

Line = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of evidence: its cases, how one is run, and what the lines come to."""

    help: str
    cases: Callable[[], Mapping[str, Callable[[], Line]]]
    """What is to be run, by a name that stands in each line under ``key``."""
    key: str
    told: Callable[[Line], str]
    """What is printed of a line."""
    promised: Callable[[list[Line]], bool]
    page: Callable[[list[Line]], str]


def zoo_cases() -> Mapping[str, Callable[[], Line]]:
    """Return the bugs of the zoo that have an optimum."""
    sys.path[:0] = [str(ROOT / "tests" / "zoo"), str(ROOT / "tests" / "support")]
    from bugs import BUGS, Bug
    from optimum import Optimum, read_optima
    from shrunk import shrink_bug

    def run(bug: Bug, optimum: Optimum) -> Line:
        shrunk = shrink_bug(bug, optimum, ZOO_RUNS)
        return {
            "source": bug.source,
            "cell": bug.cell,
            "anomaly": bug.anomaly,
            "seed": optimum.seed,
            "drawn": optimum.drawn,
            "optimum": optimum.size,
            "runs": [asdict(each) for each in shrunk],
        }

    optima = read_optima()
    known = [bug for bug in BUGS if bug.name in optima]
    return {bug.name: lambda bug=bug: run(bug, optima[bug.name]) for bug in known}  # type: ignore[misc]


def zoo_beyond(line: Line) -> int | None:
    """Return how many operations the largest shrunk run of a bug has beyond the optimum; None where none was found."""
    return max((run["operations"] - line["optimum"][0] for run in line["runs"]), default=None)


def zoo_reached(lines: list[Line], slack: int) -> int:
    """Return how many bugs came to at most ``slack`` operations beyond their optimum in every run."""
    return sum(beyond is not None and beyond <= slack for beyond in map(zoo_beyond, lines))


def zoo_promised(lines: list[Line]) -> bool:
    """Whether enough bugs came close enough to their optimum."""
    return zoo_reached(lines, ZOO_SLACK) >= ZOO_SHARE * len(lines)


def sizes(rows: list[tuple[int, int, int]]) -> str:
    """Return sizes in words, each once."""
    return ", ".join(f"{o} / {c} / {d}" for o, c, d in sorted(set(rows)))


def zoo_page(lines: list[Line]) -> str:
    """Return the page of the zoo."""
    dates = sorted({line["date"] for line in lines})
    runs = [run for line in lines for run in line["runs"]]
    exact = zoo_reached(lines, 0)
    close = zoo_reached(lines, ZOO_SLACK)
    cpu = [run["cpu_seconds"] for run in runs]
    wall = [run["seconds"] for run in runs]
    executions = [run["executions"] for run in runs]
    sources = sorted({line["source"] for line in lines})
    counts = ", ".join(f"{sum(line['source'] == source for line in lines)} {source}" for source in sources)
    return "\n".join(
        (
            "# Evidence: zoo",
            "",
            f"`make evidence-zoo`, {dates[0]} to {dates[-1]}, 2 cores that other jobs shared.",
            "",
            f"{len(lines)} known bugs ({counts}); {len(runs)} runs that show them were shrunk.",
            ZOO_TOLD,
            "",
            f"- all runs at the optimum's number of operations: {exact} of {len(lines)} bugs",
            f"- all runs at most one operation beyond it: {close} of {len(lines)} bugs, {ZOO_SHARE:.0%} are promised",
            f"- CPU time of a shrinking: {statistics.median(cpu):.2f} s in the median, {max(cpu):.1f} s at most",
            f"- by the clock: {statistics.median(wall):.2f} s in the median, {max(wall):.1f} s at most",
            f"- executions: {statistics.median(executions):,.0f} in the median, {max(executions):,} at most",
            "",
            "Sizes are operations / clients / deviations. Drawn: operations and deviations of the runs before.",
            "",
            "| bug | from | cell | anomaly | drawn | optimum | shrunk to | beyond | executions | CPU s |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *map(zoo_row, lines),
            "",
        )
    )


def zoo_row(line: Line) -> str:
    """Return the row of a bug."""
    runs = line["runs"]
    deviations = [run["deviations_before"] for run in runs]
    before = f"{line['drawn']} / {min(deviations, default=0)} to {max(deviations, default=0)}"
    reached = sizes([(run["operations"], run["clients"], run["deviations"]) for run in runs])
    executions = max((run["executions"] for run in runs), default=0)
    cpu = max((run["cpu_seconds"] for run in runs), default=0.0)
    return (
        f"| {line['bug']} | {line['source']} | {line['cell']} | {line['anomaly']} | {before} "
        f"| {sizes([tuple(line['optimum'])])} | {reached or 'no run shows it'} | {zoo_beyond(line)} "
        f"| {executions:,} | {cpu:.2f} |"
    )


def zoo_told(line: Line) -> str:
    """Return what is printed of a bug."""
    reached = sizes([(run["operations"], run["clients"], run["deviations"]) for run in line["runs"]])
    return f"optimum {sizes([tuple(line['optimum'])])}, shrunk to {reached or 'nothing: no run shows it'}"


def mutant_cases() -> Mapping[str, Callable[[], Line]]:
    """Return the wrong servers, by the name of their switch."""
    sys.path[:0] = [str(ROOT / "tests" / "mutants")]
    from wrong_servers import MUTANTS, Mutant, found_by

    def run(mutant: Mutant) -> Line:
        right, wrong = mutant.runner(wrong=False), mutant.runner(wrong=True)
        started_s = time.process_time()
        shown = [found_by(wrong, seed) for seed in range(MUTANT_SEEDS)]
        cpu_s = time.process_time() - started_s
        harmless = [found_by(right, seed) - mutant.documented for seed in range(MUTANT_SEEDS)]
        caught = [seed for seed, kinds in enumerate(shown) if mutant.anomaly in kinds]
        return {
            "cell": mutant.cell_in_words,
            "probe": mutant.is_probe,
            "anomaly": mutant.anomaly,
            "seeds": MUTANT_SEEDS,
            "caught": len(caught),
            "first_seed": caught[0] if caught else None,
            "other_anomalies": sorted(set().union(*shown) - {mutant.anomaly}),
            "right_server_violated": sum(bool(kinds) for kinds in harmless),
            "cpu_ms_a_seed": round(1000 * cpu_s / MUTANT_SEEDS, 1),
        }

    return {mutant.defect: lambda mutant=mutant: run(mutant) for mutant in MUTANTS}  # type: ignore[misc]


def mutants_promised(lines: list[Line]) -> bool:
    """Whether every wrong server is caught, and the right one shows nothing in any of the cells."""
    return all(line["caught"] and not line["right_server_violated"] for line in lines)


def mutants_page(lines: list[Line]) -> str:
    """Return the page of the wrong servers."""
    dates = sorted({line["date"] for line in lines})
    seeds = sum(line["seeds"] for line in lines)
    quiet = seeds - sum(line["right_server_violated"] for line in lines)
    return "\n".join(
        (
            "# Evidence: mutants",
            "",
            f"`make evidence-mutants`, {dates[0]} to {dates[-1]}, 2 cores that other jobs shared.",
            "",
            MUTANTS_TOLD,
            "",
            f"- caught: {sum(bool(line['caught']) for line in lines)} of {len(lines)} wrong servers",
            f"- by scenarios that ship, in cells that are declared to hold: {sum(not line['probe'] for line in lines)}",
            f"- the right server over the same seeds: nothing in {quiet:,} of {seeds:,}",
            "",
            "| wrong server | cell | anomaly | caught in | first seed | seen besides | ms a seed |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(
                f"| `{line['defect']}` | {line['cell']} | {line['anomaly']} | {line['caught']} of {line['seeds']} "
                f"| {line['first_seed']} | {', '.join(line['other_anomalies']) or '-'} | {line['cpu_ms_a_seed']} |"
                for line in lines
            ),
            "",
        )
    )


def mutants_told(line: Line) -> str:
    """Return what is printed of a wrong server."""
    return (
        f"{line['anomaly']} in {line['caught']} of {line['seeds']} seeds, first {line['first_seed']}; "
        f"the right server violated in {line['right_server_violated']}"
    )


def concern_cases() -> Mapping[str, Callable[[], Line]]:
    """Return the cells of reads and of writes, by name."""
    sys.path[:0] = [str(ROOT / "tests" / "semantics")]
    from concern_matrix import RARE_CELL, ReadCell, WriteCell, count_kinds, read_cells, write_cells

    def run_reads(cell: ReadCell) -> Line:
        seeds = RARE_SEEDS if cell == RARE_CELL else CONCERN_SEEDS
        found = count_kinds(cell.runner(), seeds)
        return {"seeds": seeds, "possible": sorted(cell.possible()), "found": dict(sorted(found.items()))}

    def run_writes(cell: WriteCell) -> Line:
        found = count_kinds(cell.runner(), CONCERN_SEEDS)
        possible = ["lost-write"] if cell.loses else []
        return {"seeds": CONCERN_SEEDS, "possible": possible, "found": dict(sorted(found.items()))}

    reads = {f"{c.variant} {c.setting} {c.fault}": lambda c=c: run_reads(c) for c in (*read_cells(), RARE_CELL)}  # type: ignore[misc]
    writes = {f"inserts {c.setting} {c.fault}, {c.members} members": lambda c=c: run_writes(c) for c in write_cells()}  # type: ignore[misc]
    return {**writes, **reads}


def concerns_promised(lines: list[Line]) -> bool:
    """Whether nothing showed that is ruled out, and everything that is possible showed somewhere."""
    found = set().union(*(line["found"] for line in lines))
    possible = set().union(*(line["possible"] for line in lines))
    return found == possible and all(set(line["found"]) <= set(line["possible"]) for line in lines)


def concerns_page(lines: list[Line]) -> str:
    """Return the page of the concerns."""
    dates = sorted({line["date"] for line in lines})
    kinds = sorted(set().union(*(line["possible"] for line in lines)))
    wrong = sum(not set(line["found"]) <= set(line["possible"]) for line in lines)
    rows = []
    for line in lines:
        kept = [str(line["found"].get(kind, 0 if kind in line["possible"] else "-")) for kind in kinds]
        rows.append(f"| {line['cell']} | {line['seeds']} | {' | '.join(kept)} |")
    return "\n".join(
        (
            "# Evidence: concerns",
            "",
            f"`make evidence-concerns`, {dates[0]} to {dates[-1]}, 2 cores that other jobs shared.",
            "",
            CONCERNS_TOLD,
            "",
            f"Cells in which something showed that is ruled out: {wrong} of {len(lines)}.",
            "",
            f"| cell | seeds | {' | '.join(kinds)} |",
            f"| --- | --- |{' --- |' * len(kinds)}",
            *rows,
            "",
        )
    )


def concerns_told(line: Line) -> str:
    """Return what is printed of a cell."""
    return ", ".join(f"{kind} {count}" for kind, count in line["found"].items()) or "nothing"


def digest_cases() -> Mapping[str, Callable[[], Line]]:
    """Return forty declared cells, far apart in their list: all scenarios, variants and faults are among them."""
    from evidence_cells import declared_cells

    from harness.explore.audit import audit
    from harness.run.simulated.cell import SimulatedCell
    from harness.run.simulated.seeds import SeedRunner

    def run(cell: SimulatedCell) -> Line:
        began = time.monotonic()
        runner = SeedRunner(cell=cell)
        digests = {seed: runner.judge(seed).digest for seed in range(DIGEST_SEEDS)}
        outcome = audit(runner.sampling(), digests)
        return {
            "seeds": outcome.audited,
            "differences": [difference.describe() for difference in outcome.differences],
            "seconds": round(time.monotonic() - began, 1),
        }

    declared = [cell for cell, _ in declared_cells()]
    cells = [declared[number * DIGEST_STRIDE % len(declared)] for number in range(DIGEST_CELLS)]
    return {cell.name.label(): lambda cell=cell: run(cell) for cell in cells}  # type: ignore[misc]


def digests_promised(lines: list[Line]) -> bool:
    """Whether every seed has one digest."""
    return not any(line["differences"] for line in lines)


def digests_page(lines: list[Line]) -> str:
    """Return the kept lines as a Markdown page."""
    seeds = sum(line["seeds"] for line in lines)
    equal = sum(line["seeds"] for line in lines if not line["differences"])
    dates = sorted({line["date"] for line in lines})
    return "\n".join(
        (
            "# Evidence: determinism",
            "",
            f"`make evidence-digests`, {dates[0]} to {dates[-1]}.",
            f"{equal:,} of {seeds:,} seeds have one digest, in {len(lines)} cells. {DIGESTS_TOLD}",
            "",
            "| cell | seeds | differences | s |",
            "| --- | --- | --- | --- |",
            *(
                f"| {line['cell']} | {line['seeds']} | {'; '.join(line['differences']) or 'none'} | {line['seconds']} |"
                for line in lines
            ),
            "",
        )
    )


def digests_told(line: Line) -> str:
    """Return what is printed of a line."""
    return f"{line['seeds']} seeds, {len(line['differences'])} differ, {line['seconds']} s"


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "zoo": Kind(
            help="every known bug, shrunk from three runs, against its optimum",
            cases=zoo_cases,
            key="bug",
            told=zoo_told,
            promised=zoo_promised,
            page=zoo_page,
        ),
        "concerns": Kind(
            help="what shows at each pair of read and write concern, over 300 seeds a cell",
            cases=concern_cases,
            key="cell",
            told=concerns_told,
            promised=concerns_promised,
            page=concerns_page,
        ),
        "digests": Kind(
            help="10,000 seeds in two processes with different hash seeds",
            cases=digest_cases,
            key="cell",
            told=digests_told,
            promised=digests_promised,
            page=digests_page,
        ),
        "mutants": Kind(
            help="every wrong server over 500 seeds, against the right one over the same",
            cases=mutant_cases,
            key="defect",
            told=mutants_told,
            promised=mutants_promised,
            page=mutants_page,
        ),
    }
)


def gather(name: str, *, only: str, anew: bool) -> int:
    """Run the cases of a kind that are missing; return 1 where what is kept is not as promised."""
    kind = KINDS[name]
    kept, page = EVIDENCE / f"{name}.jsonl", EVIDENCE / f"{name}.md"
    if anew:
        kept.unlink(missing_ok=True)
    EVIDENCE.mkdir(parents=True, exist_ok=True)
    cases = kind.cases()
    done = {line[kind.key] for line in read_lines(kept)}
    todo = [case for case in cases if case not in done and only in case]
    print(f"{name}: {len(done)} cases are kept, {len(todo)} to run", flush=True)
    for number, case in enumerate(todo, start=1):
        line = {kind.key: case, "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", **cases[case]()}
        with kept.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"[{number}/{len(todo)}] {case}: {kind.told(line)}", flush=True)
    order = {case: number for number, case in enumerate(cases)}
    lines = sorted((x for x in read_lines(kept) if x[kind.key] in order), key=lambda line: order[line[kind.key]])
    if not lines:
        return 0
    page.write_text(kind.page(lines))
    return 0 if kind.promised(lines) else 1


def read_lines(path: Path) -> list[Line]:
    """Return the kept lines, none where there are none yet."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> int:
    """Gather one kind of evidence; return 1 where it is not as promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, kind in KINDS.items():
        command = kinds.add_parser(name, help=kind.help)
        command.add_argument("--only", default="", help="only cases whose name contains this text")
        command.add_argument("--anew", action="store_true", help="forget what is kept")
    arguments = parser.parse_args()
    return gather(arguments.name, only=arguments.only, anew=arguments.anew)


if __name__ == "__main__":
    sys.exit(main())
