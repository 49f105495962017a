"""The least that shows a bug: sub-workloads of what its seed draws, in ascending size, each searched exhaustively.

    python tests/zoo/optimum.py [NAME ...]    find what is not in optima.json yet, or these anew
    python tests/zoo/optimum.py --stale       find anew what is of a workload that is no longer drawn
    python tests/zoo/optimum.py --anew        find everything anew (some 12 minutes of CPU)

No part of the shrinker takes part, and no reduction of the search. A workload counts as refuted where none of its
schedules with at most three deviations, of whatever kind, shows the anomaly.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.append(str(HERE.parent / "support"))

from bugs import BUG_BY_NAME, BUGS, Bug  # noqa: E402 - beside this file, on a path that was just added

from harness.explore.bounds import Bounds  # noqa: E402
from harness.explore.exhaustive import search  # noqa: E402
from harness.explore.program import Program, Workload  # noqa: E402

OPTIMA = HERE / "optima.json"
DEPTH = 3
"""The most deviations of a schedule."""
MOST_OPERATIONS = 6
SEEDS = 3_000
"""Seeds that are tried for one that shows the anomaly."""


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """The smallest operations, clients, deviations, in this order, that show a bug on the workload of one seed."""

    operations: int
    clients: int
    deviations: int
    seed: int
    drawn: int
    """Operations of the whole workload."""
    workload: str
    """A digest of the whole workload: where it is another, the optimum may be."""
    kept: tuple[str, ...]
    """The ids of the operations that show it."""
    refuted: int
    """Smaller or equal workloads that were searched in vain to their end."""
    executions: int
    seconds: float
    date: str

    @property
    def size(self) -> tuple[int, int, int]:
        """Operations, clients, deviations."""
        return self.operations, self.clients, self.deviations


class NoOptimumError(Exception):
    """No seed shows the anomaly, or no workload of a size that can be searched does."""


def first_seed(bug: Bug) -> int:
    """Return the first seed whose own run shows the bug."""
    for seed in range(SEEDS):
        if bug.execute(seed, seed).shows(bug.anomaly):
            return seed
        if bug.toy is not None:
            # A toy has one workload, which any schedule will do for.
            return 0
    raise NoOptimumError(f"none of {SEEDS} seeds shows {bug.name}")


def digest_of(workload: Workload) -> str:
    """Return a digest of operations and their arguments."""
    text = repr([(item.id, item.call.function, sorted(item.call.arguments.items())) for item in workload])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parts(workload: Workload, size: int) -> Iterator[tuple[int, list[Workload]]]:
    """Yield the sub-workloads of that size by their number of clients, ascending."""
    by_clients: dict[int, list[Workload]] = {}
    for items in itertools.combinations(workload.items, size):
        by_clients.setdefault(len({item.client for item in items}), []).append(Workload(items=items))
    yield from sorted(by_clients.items())


def find_optimum(bug: Bug, seed: int) -> Optimum:
    """Return the optimum on the workload of ``seed``.

    Raises NoOptimumError where no sub-workload of at most :data:`MOST_OPERATIONS` shows the bug.
    """
    program = bug.program(seed)
    workload = program.workload()
    began, executions, refuted = time.process_time(), 0, 0
    for size in range(1, MOST_OPERATIONS + 1):
        for clients, candidates in parts(workload, size):
            for depth in range(DEPTH + 1):
                tell(bug, size, clients, depth, executions)
                for candidate in candidates:
                    shown, cost = shows(program, candidate, bug.anomaly, depth)
                    executions += cost
                    if shown:
                        return Optimum(
                            operations=size,
                            clients=clients,
                            deviations=depth,
                            seed=seed,
                            drawn=len(workload),
                            workload=digest_of(workload),
                            kept=candidate.ids,
                            refuted=refuted,
                            executions=executions,
                            seconds=round(time.process_time() - began, 1),
                            date=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
                        )
            refuted += len(candidates)
    raise NoOptimumError(f"no {MOST_OPERATIONS} operations of seed {seed} show {bug.name}")


def tell(bug: Bug, size: int, clients: int, depth: int, executions: int) -> None:
    """Say on a terminal where the search is."""
    if sys.stderr.isatty():
        where = f"{size} operations, {clients} clients, {depth} deviations, {executions:,} executions"
        print(f"\r\033[K{bug.name}: {where}", end="", file=sys.stderr, flush=True)


def shows(program: Program, workload: Workload, anomaly: str, depth: int) -> tuple[bool, int]:
    """Return whether some schedule with at most ``depth`` deviations shows the anomaly, and what the search cost."""
    result = search(
        program,
        workload,
        Bounds(preemptions=None, faults=None, jumps=None, others=None, total=depth),
        hashing=False,
        stop=lambda execution: execution.shows(anomaly),
    )
    found = any(execution.shows(anomaly) for execution in result.violations)
    assert found or result.complete
    return found, result.executions


def is_stale(bug: Bug, optimum: Optimum) -> bool:
    """Whether the seed draws another workload than the one whose parts were searched."""
    return digest_of(bug.program(optimum.seed).workload()) != optimum.workload


def read_optima() -> dict[str, Optimum]:
    """Return what was found, by the bug's name."""
    if not OPTIMA.exists():
        return {}
    kept = json.loads(OPTIMA.read_text())["optima"]
    return {name: Optimum(**{**line, "kept": tuple(line["kept"])}) for name, line in kept.items()}


def write_optima(optima: dict[str, Optimum]) -> None:
    """Write what was found, in the order of the zoo."""
    lines = {bug.name: asdict(optima[bug.name]) for bug in BUGS if bug.name in optima}
    how = f"sub-workloads in ascending size, every schedule of at most {DEPTH} deviations"
    content = {"command": "python tests/zoo/optimum.py", "method": how, "optima": lines}
    OPTIMA.write_text(json.dumps(content, indent=1) + "\n")


def main() -> int:
    """Find what is missing or asked for; return 1 where an optimum was not found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="bugs to search anew, by default what is missing")
    parser.add_argument("--stale", action="store_true", help="bugs whose kept optimum is of another workload, too")
    parser.add_argument("--anew", action="store_true", help="every bug")
    arguments = parser.parse_args()
    known = {} if arguments.anew else read_optima()
    missing = 0
    for bug in [BUG_BY_NAME[name] for name in arguments.names] or [
        bug for bug in BUGS if bug.name not in known or (arguments.stale and is_stale(bug, known[bug.name]))
    ]:
        try:
            found = find_optimum(bug, first_seed(bug))
        except NoOptimumError as error:
            print(error, flush=True)
            missing += 1
            continue
        known = {**read_optima(), bug.name: found}
        write_optima(known)
        cost = f"{found.executions:,} executions, {found.seconds} s"
        print(f"{bug.name}: {found.size}, seed {found.seed}, {cost}", flush=True)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
