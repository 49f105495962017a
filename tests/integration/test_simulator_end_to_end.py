"""The simulator as a user types it: find, replay, shrink, prove; search; fuzz, interrupted and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from components import mongod_or_skip

from harness import store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

HARNESS = Path(sys.executable).with_name("harness")


def harness(*words, runs, **options):
    return subprocess.run(
        [str(HARNESS), *map(str, words), "--runs", str(runs)], capture_output=True, text=True, check=False, **options
    )


def found(runs, *, suffix=""):
    """Return the first stored violated run."""
    directories = [d for d in sorted(store.iterate_runs(runs)) if d.name.endswith(suffix)]
    return next(d for d in directories if store.read_verdict(d).status == "violated")


def find(runs, *words):
    done = harness("run", *words, "--backend", "sim", "--seeds", 12, "--seed", 5, runs=runs)
    assert done.returncode == 1, done.stderr
    return found(runs)


def test_a_lost_update_is_found_shrunk_to_two_operations_and_explained(tmp_path):
    """Two operations of two clients and one deviation are left; the replay is identical."""
    run = find(tmp_path, "optimistic_lock")
    replayed = harness("replay", run, runs=tmp_path)
    assert replayed.returncode == 1
    assert "identical to the record" in replayed.stderr
    shrunk = harness("shrink", run, runs=tmp_path)
    assert "lost-update: 2 operations of 2 clients, 1 deviations" in shrunk.stderr
    assert "In conflict:" in shrunk.stderr
    facts = store.read_facts(found(tmp_path, suffix="-shrunk"))
    assert facts.simulation is not None
    assert len(facts.simulation.workload or ()) == 2
    again = harness("replay", found(tmp_path, suffix="-shrunk"), runs=tmp_path)
    assert "identical to the record" in again.stderr


def test_the_literal_of_a_shrunk_run_runs_by_itself(tmp_path):
    """What shrink prints to standard output is a program that shows the anomaly again."""
    run = find(tmp_path, "optimistic_lock")
    literal = tmp_path / "again.py"
    literal.write_text(harness("shrink", run, runs=tmp_path).stdout)
    done = subprocess.run([sys.executable, str(literal)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "violated lost-update"


@pytest.mark.mongod
@pytest.mark.parametrize(
    ("words", "anomaly"),
    [
        (("optimistic_lock",), "lost-update"),
        (("write_concern", "--setting", "w=1", "--fault", "partition-primary"), "lost-write"),
    ],
)
def test_a_finding_is_proved_on_real_servers(tmp_path, words, anomaly):
    """The shrunk run, driven in its order on a real set, shows the same anomaly, and a report of it."""
    mongod_or_skip()
    run = find(tmp_path, *words)
    harness("shrink", run, runs=tmp_path)
    proved = harness("prove", found(tmp_path, suffix="-shrunk"), "--budget", 60, runs=tmp_path)
    assert proved.returncode == 1, proved.stderr
    assert "proved on mongod in attempt" in proved.stderr
    assert anomaly in proved.stderr
    assert "report:" in proved.stderr


def test_a_search_completes_its_scope_and_says_so(tmp_path):
    """A hardened pattern holds in every run within bounds; no count of operations is asked for then."""
    done = harness(
        *("explore", "optimistic_lock", "--variant", "hardened", "--clients", 2, "--operations", 4),
        *("--preemptions", 2),
        runs=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "complete within at most 2 preemptions" in done.stderr


def test_a_search_that_does_not_complete_is_unknown(tmp_path):
    """Out of budget it says how far it got, and never that the pattern holds."""
    done = harness(
        *("explore", "transfer", "--variant", "hardened", "--fault", "kill-primary", "--clients", 3),
        *("--operations", 9, "--budget", 2),
        runs=tmp_path,
    )
    assert done.returncode == 2, done.stderr
    assert "then stopped" in done.stderr or "nothing completed" in done.stderr


def test_fuzzing_finds_one_bug_once_and_goes_on_where_it_ended(tmp_path):
    """Many seeds of one bug are one finding; the same command adds nothing to a finished campaign."""
    words = ("fuzz", "optimistic_lock", "--seeds", 24, "--operations", 12, "--jobs", 1)
    done = harness(*words, runs=tmp_path)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("finding ") == 1
    file = next(tmp_path.rglob("seeds.jsonl"))
    before = file.read_bytes()
    again = harness(*words, runs=tmp_path)
    assert again.returncode == 1
    assert file.read_bytes() == before
    assert "still are" in again.stderr


def test_seeds_that_are_known_to_be_bad_come_first(tmp_path):
    """Another campaign of the cell does them before any other, and says whether they still are bad."""
    cell = ("fuzz", "optimistic_lock", "--operations", 12, "--jobs", 1)
    harness(*cell, "--seeds", 12, runs=tmp_path)
    known = (tmp_path / "known-bad.jsonl").read_text().splitlines()
    done = harness(*cell, "--seeds", 1, "--seed", 77, runs=tmp_path)
    assert f"seeds known to be bad: {len(known)} of {len(known)} still are" in done.stderr


def test_an_interrupted_campaign_keeps_what_it_did(tmp_path):
    """Ctrl-C ends it after the seeds under way; the same command goes on."""
    words = [str(HARNESS), "fuzz", "transfer", "--seeds", "5000", "--jobs", "2", "--runs", str(tmp_path)]
    child = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 4_000 for path in tmp_path.rglob("seeds.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.killpg(child.pid, signal.SIGINT)
    _, words_of_it = child.communicate(timeout=60)
    assert child.returncode == 2, words_of_it
    assert "goes on where this one ended" in words_of_it
    lines = next(tmp_path.rglob("seeds.jsonl")).read_text().splitlines()
    assert all(json.loads(line) for line in lines)


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("replay", "nothing-like-this"), "harness runs"),
        (("explore", "optimistic_lok"), "optimistic_lock"),
        (("fuzz", "optimistic_lock", "--fault", "kill-primry"), "kill-primary"),
        (("fuzz", "optimistic_lock", "--shard", "4/3"), "3/40"),
        (("run", "optimistic_lock", "--backend", "simm"), "sim"),
        (("shrink", "nothing-like-this"), "harness runs"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_next_step(tmp_path, words, near):
    """A usage error, or an error of the store, names what was meant, or what to do."""
    done = harness(*words, runs=tmp_path)
    assert done.returncode in {3, 4}
    assert near in done.stderr
    assert "Traceback" not in done.stderr
