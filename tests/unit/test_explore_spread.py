"""Seeds over processes: every index once, in shards, resumed where it ended, merged, and clean after ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from harness.errors import HarnessError, StoreError, UsageError
from harness.explore.results import Chunk, Header, ResultFile, merge
from harness.explore.spread import Shard, parse_shard, spread


def square(index: int) -> int:
    return index * index


class Row(msgspec.Struct, frozen=True):
    index: int
    digest: str


def row(index: int) -> Row:
    return Row(index, f"{index:04x}")


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_index_is_done_once(jobs: int) -> None:
    """In one process and in two, each index gets its result."""
    seen: dict[int, int] = {}
    result = spread(square, 500, jobs=jobs, on_results=seen.update)
    assert seen == {index: index * index for index in range(500)}
    assert (result.complete, result.done, result.resumed, result.interrupted) == (True, 500, 0, False)


def test_shards_share_out_all_indexes() -> None:
    """The shards of a campaign have every index once, without knowing of each other."""
    parts = [Shard(number=number, count=7).indexes(100) for number in range(1, 8)]
    assert sorted(index for part in parts for index in part) == list(range(100))
    assert str(parse_shard("3/40")) == "3/40"


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "a/b", "1/2/3", "-1/2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    """A shard is a number out of a count."""
    with pytest.raises(UsageError, match="3/40"):
        parse_shard(text)


def test_a_campaign_resumes_where_it_ended(tmp_path: Path) -> None:
    """What the file has is not done again, a line that was cut short is."""
    path = tmp_path / "results.jsonl"
    calls: list[int] = []

    def counted(index: int) -> int:
        calls.append(index)
        return index

    def file() -> ResultFile:
        return ResultFile(path, Header(identity={"cell": "x"}, total=60))

    first = spread(counted, 60, file=file(), stop=lambda: len(calls) >= 20)
    assert not first.complete
    done = len(calls)
    with path.open("ab") as stream:
        stream.write(b'{"indexes":[57],"resul')
    seen: dict[int, int] = {}
    second = spread(counted, 60, file=file(), on_results=seen.update)
    assert second.complete
    assert second.resumed == done
    assert sorted(calls) == list(range(60))
    assert seen == {index: index for index in range(60)}
    third = spread(counted, 60, file=file())
    assert (third.done, third.resumed) == (60, 60)


def test_results_of_another_campaign_are_not_gone_on_with(tmp_path: Path) -> None:
    """A file with another identity is refused, not mixed up."""
    path = tmp_path / "results.jsonl"
    spread(square, 3, file=ResultFile(path, Header(identity={"cell": "x"}, total=3)))
    with pytest.raises(UsageError, match="another campaign"):
        spread(square, 3, file=ResultFile(path, Header(identity={"cell": "y"}, total=3)))


def test_shards_merge(tmp_path: Path) -> None:
    """The files of all shards are the results of the whole; a missing shard is counted."""
    paths = []
    for number in (1, 2, 3):
        shard = Shard(number=number, count=3)
        paths.append(tmp_path / f"{number}.jsonl")
        header = Header(identity={"cell": "x"}, total=20, shard=str(shard))
        spread(row, 20, shard=shard, file=ResultFile(paths[-1], header, Row))
    merged = merge(paths, Row)
    assert merged.results == {index: row(index) for index in range(20)}
    assert merged.missing == 0
    assert merge(paths[:2], Row).missing == 6


def test_what_does_not_go_together_does_not_merge(tmp_path: Path) -> None:
    """Other campaigns, contradicting results, no file and no results are told apart."""
    one, other, contrary = (tmp_path / f"{name}.jsonl" for name in ("one", "other", "contrary"))
    spread(square, 3, file=ResultFile(one, Header(identity={"cell": "x"}, total=3)))
    spread(square, 3, file=ResultFile(other, Header(identity={"cell": "y"}, total=3)))
    spread(lambda index: -index - 1, 3, file=ResultFile(contrary, Header(identity={"cell": "x"}, total=3)))
    with pytest.raises(UsageError, match="different campaigns"):
        merge([one, other])
    with pytest.raises(UsageError, match="index 0 has two results"):
        merge([one, contrary])
    with pytest.raises(UsageError, match="no file"):
        merge([])
    (tmp_path / "notes.txt").write_text("hello\n")
    with pytest.raises(StoreError, match="no file of results"):
        merge([tmp_path / "notes.txt"])


@pytest.mark.slow
def test_chunks_are_sized_by_time() -> None:
    """Quick tasks come in large chunks, slow ones in small ones."""
    sizes: dict[str, list[int]] = {"quick": [], "slow": []}
    spread(square, 3_000, on_results=lambda results: sizes["quick"].append(len(results)))
    spread(lambda _index: time.sleep(0.1), 12, on_results=lambda results: sizes["slow"].append(len(results)))
    assert max(sizes["quick"]) > 500
    assert max(sizes["slow"]) <= 5


def fail(index: int) -> int:
    if index == 5:
        raise ValueError("five")
    return index


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_task_raises_ends_the_campaign(jobs: int) -> None:
    """An exception comes through, from another process too."""
    with pytest.raises(ValueError, match="five"):
        spread(fail, 20, jobs=jobs)


def die(index: int) -> int:
    if index == 5:
        os._exit(9)
    return index


def test_a_process_that_dies_is_an_error_of_the_harness() -> None:
    """A killed worker does not hang the campaign."""
    with pytest.raises(HarnessError, match="a process of the campaign died"):
        spread(die, 20, jobs=2)


SCRIPT = """
import sys, time
from pathlib import Path
from harness.explore.results import Header, ResultFile
from harness.explore.spread import spread

def work(index):
    with open(sys.argv[3], "a") as log:
        log.write(f"{index}\\n")
    time.sleep(0.02)
    return index

file = ResultFile(Path(sys.argv[1]), Header(total=100000))
result = spread(work, 100000, jobs=int(sys.argv[2]), file=file, on_results=lambda r: print(len(r), flush=True))
print("interrupted" if result.interrupted else "ended", result.done, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_ends_it_cleanly(jobs: int, tmp_path: Path) -> None:
    """Ctrl-C, sent to the whole group as a terminal does, ends it within a chunk; what was done is in the file."""
    path, log = tmp_path / "results.jsonl", tmp_path / "log"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path), str(jobs), str(log)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    ending, done = output.split()[-2:]
    assert (process.returncode, ending, errors) == (0, "interrupted", "")
    lines = [msgspec.json.decode(line, type=Chunk) for line in path.read_bytes().splitlines()[1:]]
    kept = sorted(index for chunk in lines for index in chunk.indexes)
    assert len(kept) == int(done) > 0
    if jobs > 1:
        # The chunks that were under way in other processes were done to their end.
        assert sorted(map(int, log.read_text().split())) == kept
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
