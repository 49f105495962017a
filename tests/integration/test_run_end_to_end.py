"""The command as a user types it, on a real replica set: verdicts, records, and every way in which a run can end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from components import missing

from harness import store
from harness.checkers.resolution import resolve

pytestmark = [pytest.mark.mongod, pytest.mark.slow, pytest.mark.timeout(180)]

HARNESS = Path(sys.executable).with_name("harness")

HEAD = '''
from harness import Call, Scenario
from harness.checkers import durability, unexpected_errors


class Inserter:
    """Inserts what it is given."""

    def __init__(self, database, *, env=None):
        self.rows = database["rows"]
        self.env = env

    async def insert(self, token):
        await self.rows.insert_one({"_id": token})
        return token


async def insert(context, token):
    return await context.pattern.insert(token)


def workload(random, client):
    number = 0
    while True:
        number += 1
        yield Call(function="insert", arguments={"token": f"{client}-{number}"})


async def setup(context):
    await context.database.create_collection("rows")


async def final_reads(context):
    return {"tokens": [row["_id"] async for row in context.database["rows"].find({})]}
'''
RECORD = """
SCENARIO = Scenario(
    name="inserter",
    contract="Every acknowledged insert is there at the end.",
    section="a test",
    variants={"published": Inserter},
    operations={"insert": insert},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(
        durability(
            writes=lambda operation: operation.arguments["token"],
            survivors=lambda final: final["tokens"],
        ),
        unexpected_errors(),
    ),
)
"""


def scenario_file(directory: Path, *, replace: tuple[str, str] | None = None) -> Path:
    text = HEAD + RECORD
    if replace:
        assert replace[0] in text
        text = text.replace(*replace)
    path = directory / "inserter.py"
    path.write_text(text)
    return path


def harness(*words: object, directory: Path, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(HARNESS), *map(str, words)], cwd=directory, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def the_run(directory: Path) -> Path:
    (found,) = store.iterate_runs(directory / "runs")
    return found


def servers_of(owner: int) -> list[str]:
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if "mongod" in line and f"-{owner}-" in line]


def test_a_sound_pattern_holds_and_can_be_judged_and_rendered_again(tmp_path: Path) -> None:
    """A run without faults holds; its stored files alone give the same verdict and the same report later."""
    path = scenario_file(tmp_path)
    done = harness("run", path, "--duration", 3, "--seed", 5, "--json", directory=tmp_path)
    assert done.returncode == 0, done.stderr
    cell = json.loads(done.stdout)
    assert cell["status"] == "holds"
    assert cell["evidence"]["ok"] > 100
    run = the_run(tmp_path)
    assert {file.name for file in run.iterdir()} >= {"run.json", "history.jsonl.gz", "verdict.json", "log.jsonl"}
    history = store.load_history(run)
    operation = history.of("insert")[0]
    (attempt,) = operation.attempts
    assert (attempt.command, attempt.request["insert"], attempt.reply["n"]) == ("insert", "rows", 1)
    assert attempt.server in {"m1", "m2", "m3"}
    assert operation.start_ns <= attempt.start_ns <= attempt.end_ns <= operation.returned_ns
    verdict = (run / "verdict.json").read_bytes()
    (run / "verdict.json").unlink()
    path.unlink()
    again = harness("check", "latest", directory=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "copy" in again.stderr
    assert (run / "verdict.json").read_bytes() == verdict
    rendered = harness("report", "latest", directory=tmp_path)
    assert rendered.returncode == 0, rendered.stderr
    assert "inserter" in (tmp_path / rendered.stdout.strip()).read_text()
    listed = harness("runs", directory=tmp_path)
    assert "holds" in listed.stdout


def test_a_doctored_record_is_refused(tmp_path: Path) -> None:
    """A stored history that was cut is an error with exit code 4, never a verdict."""
    done = harness("run", scenario_file(tmp_path), "--duration", 1, directory=tmp_path)
    assert done.returncode in {0, 2}, done.stderr
    journal = the_run(tmp_path) / "history.jsonl.gz"
    journal.write_bytes(journal.read_bytes()[:-30])
    again = harness("check", "latest", directory=tmp_path)
    assert again.returncode == 4
    assert "history.jsonl.gz" in again.stderr


@pytest.mark.parametrize(
    ("replace", "words"),
    [
        (('await context.database.create_collection("rows")', "raise KeyError('lost')"), "setup"),
        (("    number = 0\n", "    number = 0\n    raise KeyError('lost')\n"), "workload"),
        (('return {"tokens"', "raise KeyError('lost')\n    return {'tokens'"), "final_reads"),
        (('function="insert"', 'function="insret"'), "insret"),
        (('"token": f"', '"tokens": f"'), "calls 'insert' wrongly"),
        (("await self.rows.insert_one", "import asyncio; await asyncio.sleep(0.1); await self.rows.insert_one"), "env"),
        (("await self.rows.insert_one", "import trio; await trio.sleep(0.1); await self.rows.insert_one"), "env"),
    ],
    ids=["setup", "workload", "final-reads", "operation-name", "arguments", "asyncio", "trio"],
)
def test_a_mistake_in_a_scenario_is_told_with_its_place(tmp_path: Path, replace: tuple[str, str], words: str) -> None:
    """The scenario's own mistakes end the run with exit code 4, the file's name, and the record kept."""
    path = scenario_file(tmp_path, replace=replace)
    done = harness("run", path, "--duration", 2, directory=tmp_path)
    assert done.returncode == 4, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "next:" in done.stderr
    facts = store.read_facts(the_run(tmp_path))
    assert facts.status == "error"
    assert store.load_history(the_run(tmp_path)).complete is False


def start(*words: object, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(HARNESS), *map(str, words)], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_operations(directory: Path, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        journals = list((directory / "runs").rglob("history.jsonl"))
        if journals and journals[0].stat().st_size > 100_000:
            return
        time.sleep(0.05)
    pytest.fail("no operations were recorded in time")


def wait_until_gone(owner: int, timeout_s: float = 5) -> list[str]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and servers_of(owner):
        time.sleep(0.05)
    return servers_of(owner)


def test_ctrl_c_ends_clean_and_keeps_the_record(tmp_path: Path) -> None:
    """One interrupt ends the run early: the record is closed, the verdict unknown, no server is left."""
    process = start("run", scenario_file(tmp_path), "--duration", 60, "--fault", "kill-primary", directory=tmp_path)
    wait_for_operations(tmp_path)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    run = the_run(tmp_path)
    assert store.read_facts(run).status == "interrupted"
    assert len(store.load_history(run).operations) > 100
    assert "interrupted" in errors
    assert wait_until_gone(process.pid) == []


def test_a_killed_harness_leaves_its_record_and_no_server(tmp_path: Path) -> None:
    """After kill -9 what was recorded can be read and judged, and every server it had started is gone."""
    process = start("run", scenario_file(tmp_path), "--duration", 60, directory=tmp_path)
    wait_for_operations(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    assert wait_until_gone(process.pid) == []
    run = the_run(tmp_path)
    history = store.load_history(run)
    assert not history.complete
    assert len(history.operations) > 100
    again = harness("check", run, directory=tmp_path)
    assert again.returncode == 2, again.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("run", "write_concen"), "write_concern"),
        (("run", "write_concern", "--variant", "hardend"), "hardened"),
        (("run", "write_concern", "--setting", "readConcern=local"), "readConcernLevel"),
        (("run", "write_concern", "--fault", "partition-primry"), "partition-primary"),
        (("run", "write_concern", "--fault", "split-clients"), "--client-groups 2"),
        (("run", "write_concern", "--duration", "-1"), "--duration"),
        (("run", "write_concern", "--backend", "lokal"), "local"),
        (("run", "write_concern", "--membres", "3"), "--membres"),
    ],
)
def test_a_wrong_word_is_a_usage_error_with_the_near_match(tmp_path: Path, words: tuple[str, ...], hint: str) -> None:
    """Unknown names exit with 3 before anything is started, and say what was probably meant."""
    done = harness(*words, directory=tmp_path)
    assert done.returncode == 3, done.stderr
    assert hint in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_missing_mongod_is_told(tmp_path: Path) -> None:
    """Without a server the error says what to install, with exit code 4 or 3, and nothing is stored as a run."""
    done = harness("run", "write_concern", "--mongod", tmp_path / "none", directory=tmp_path)
    assert done.returncode in {3, 4}
    assert "mongod" in done.stderr
    assert "next:" in done.stderr


def test_until_violated_stops_at_the_first_violation(tmp_path: Path) -> None:
    """A search ends when the checkers confirm a violation, long before its time is over."""
    path = scenario_file(tmp_path, replace=("        return token\n", "        raise KeyError(token)\n"))
    began = time.monotonic()
    done = harness("run", path, "--duration", 100, "--until", "violated", directory=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "unexpected-error" in done.stderr
    assert time.monotonic() - began < 60
    assert "harness run" in done.stderr


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_ends_the_run_with_its_record_kept(tmp_path: Path, tiny_disk: Path) -> None:
    """When the disk takes no more, the run ends with words, the record so far is readable, and no server is left."""
    process = start("run", scenario_file(tmp_path), "--duration", 60, "--runs", tiny_disk / "runs", directory=tmp_path)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 4, errors
    assert "disk full?" in errors or "No space left" in errors
    assert "Traceback" not in errors
    assert wait_until_gone(process.pid) == []
    (run,) = store.iterate_runs(tiny_disk / "runs")
    history = store.load_history(run)
    assert not history.complete
    assert len(history.operations) > 100


@pytest.mark.parametrize(
    ("words", "effective"),
    [
        (("--fault", "crash-client"), "crash-client"),
        (("--fault", "split-clients", "--client-groups", 2), "split-clients"),
        (("--fault", "partition-ring", "--members", 5), "partition-ring"),
        (
            (
                "--fault",
                "partition-primary+latency",
            ),
            "partition-primary",
        ),
        (("--fault", "failpoint:insert:10107"), "failpoint:insert:10107"),
    ],
    ids=["crash-client", "split-clients", "five-members", "two-faults", "failpoint"],
)
def test_a_fault_takes_effect_and_majority_writes_survive_it(
    tmp_path: Path, words: tuple[object, ...], effective: str
) -> None:
    """Each fault's effect is seen and stored, and no acknowledged majority write is lost under it."""
    path = scenario_file(tmp_path)
    done = harness("run", path, "--duration", 6, "--setting", "w=majority", *words, "--json", directory=tmp_path)
    assert done.returncode in {0, 2}, done.stderr
    cell = json.loads(done.stdout)
    assert effective in cell["evidence"]["effective_faults"]
    history = store.load_history(the_run(tmp_path))
    assert {window.fault for window in history.fault_windows if window.effective} >= {effective}
    if effective == "crash-client":
        died = [operation for operation in history.operations if operation.outcome == "crashed"]
        assert died
        after = [o for o in history.operations if o.client == died[0].client and o.start_ns > died[0].start_ns]
        assert after[0].process == died[0].process + 5
    if effective == "split-clients":
        assert {operation.group for operation in history.operations} == {0, 1}


def test_the_oplog_tells_what_became_of_unanswered_writes(tmp_path: Path) -> None:
    """Of inserts that timed out the oplog of the healed set says which survived, and the final read agrees."""
    path = scenario_file(tmp_path)
    words = ("--fault", "partition-primary", "--setting", "w=3,wtimeoutMS=500", "--duration", 8)
    harness("run", path, *words, directory=tmp_path)
    history = store.load_history(the_run(tmp_path))
    assert history.oplog is not None
    assert history.oplog.covers_run
    fates = {each.operation: each.fate for each in resolve(history)}
    assert "survived" in fates.values()
    assert set(fates.values()) <= {"survived", "gone"}
    tokens = set(history.final["tokens"])
    for index, fate in fates.items():
        assert (history.operation(index).arguments["token"] in tokens) == (fate == "survived")
    survivors = {(write.session, write.number) for write in history.oplog.writes}
    acknowledged = [operation for operation in history.of("insert") if operation.status == "ok"]
    requests = [operation.attempts[-1].request for operation in acknowledged]
    assert {(request["lsid"], request["txnNumber"]) for request in requests} <= survivors


@pytest.mark.toxiproxy
def test_toxiproxy_cuts_the_same_way(tmp_path: Path) -> None:
    """Through real Toxiproxy a primary that is cut off loses the w:1 writes that it acknowledged meanwhile."""
    words = ("--network", "toxiproxy", "--fault", "partition-primary", "--setting", "w=1", "--duration", 8)
    done = harness("run", scenario_file(tmp_path), *words, "--json", directory=tmp_path)
    facts = store.read_facts(the_run(tmp_path))
    if "toxiproxy" not in facts.versions:
        missing(facts.notes[0])
    assert done.returncode == 1, done.stderr
    assert "lost-write" in json.loads(done.stdout)["anomalies"]
