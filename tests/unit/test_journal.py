"""The journal: nothing recorded is lost, and nothing edited is believed."""

from __future__ import annotations

import datetime
import gzip
from pathlib import Path

import bson
import pytest
from bson.int64 import Int64

from harness.errors import HistoryError, StoreError
from harness.journal import Completed, Invoked, JournalWriter, find_journal, plain, read_journal


def invoked(index: int) -> Invoked:
    return Invoked(index=index, process=0, client=0, function="write", arguments={"value": index}, start_ns=index * 10)


def completed(index: int) -> Completed:
    return Completed(index=index, returned_ns=index * 10 + 5, status="ok", outcome="returned", result={"n": index})


def written(path: Path, count: int = 3) -> JournalWriter:
    writer = JournalWriter(path)
    for index in range(count):
        writer.append(invoked(index))
        writer.append(completed(index))
    return writer


def test_a_closed_journal_reads_back_whole(tmp_path: Path) -> None:
    """Every event comes back in order, from a compressed file that says it was closed."""
    path = written(tmp_path / "history.jsonl").close()
    journal = read_journal(path)
    assert path.name == "history.jsonl.gz"
    assert journal.closed
    assert journal.events == tuple(event for index in range(3) for event in (invoked(index), completed(index)))
    assert not (tmp_path / "history.jsonl").exists()


@pytest.mark.parametrize("cut", [1, 5, 30, 200])
def test_a_journal_whose_writer_died_is_read_to_its_last_whole_line(tmp_path: Path, cut: int) -> None:
    """A file cut anywhere gives the events before the cut, and is not taken for a closed one."""
    path = tmp_path / "history.jsonl"
    written(path).detach()
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    journal = read_journal(path)
    assert not journal.closed
    assert len(journal.events) == content[:-cut].count(b"\n")


def test_a_truncated_compressed_journal_is_refused(tmp_path: Path) -> None:
    """A closed journal that lost its end is an error that names the file, never a shorter history."""
    path = written(tmp_path / "history.jsonl", count=200).close()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(HistoryError, match=r"history\.jsonl\.gz"):
        read_journal(path)


def rewrite(path: Path, old: bytes, new: bytes) -> None:
    content = gzip.decompress(path.read_bytes())
    assert old in content
    path.write_bytes(gzip.compress(content.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"n":1', b'"n":7', "edited"),
        (b'"status":"ok"', b'"status":"oops"', "line 2"),
        (b'{"event":"invoke","index":1', b'{"event":"invoke"', "line 3"),
        (b'"event":"end"', b'"event":"fin"', "not a journal event"),
    ],
)
def test_a_doctored_journal_is_refused(tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
    """A changed value, a wrong word and a missing field are each refused, with the line where it is known."""
    path = written(tmp_path / "history.jsonl").close()
    rewrite(path, old, new)
    with pytest.raises(HistoryError, match=words):
        read_journal(path)


def test_a_compressed_journal_without_its_closing_line_is_refused(tmp_path: Path) -> None:
    """Cutting whole lines off a closed journal does not make it a shorter valid one."""
    path = written(tmp_path / "history.jsonl").close()
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(lines[:-1])))
    with pytest.raises(HistoryError, match="closing line"):
        read_journal(path)


def test_a_full_disk_is_a_store_error(tmp_path: Path) -> None:
    """What the disk does not take is an error that says what to do."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    path = tmp_path / "history.jsonl"
    path.symlink_to(full)
    writer = JournalWriter(path)
    with pytest.raises(StoreError, match="free space"):
        writer.append(invoked(0))
    writer.detach()


def test_two_writers_share_a_journal(tmp_path: Path) -> None:
    """Lines of several writers of one file do not run into one another."""
    path = tmp_path / "history.jsonl"
    writers = [JournalWriter(path) for _ in range(2)]
    for index in range(100):
        writers[index % 2].append(invoked(index))
    for writer in writers:
        writer.detach()
    assert [event.index for event in read_journal(path).events if isinstance(event, Invoked)] == list(range(100))


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    """Looking for a journal where there is none is an error with the directory's name."""
    with pytest.raises(HistoryError, match=tmp_path.name):
        find_journal(tmp_path, "history.jsonl")


def test_database_values_have_a_plain_twin() -> None:
    """What a pattern got from the database is kept as extended JSON, so that checkers need no driver."""
    oid = bson.ObjectId()
    value = {
        "_id": oid,
        "big": Int64(2**40),
        "at": bson.Timestamp(7, 1),
        "when": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        "price": bson.Decimal128("1.5"),
    }
    assert plain(value) == {
        "_id": {"$oid": str(oid)},
        "big": 2**40,
        "at": {"$timestamp": {"t": 7, "i": 1}},
        "when": "2026-01-02T00:00:00Z",
        "price": {"$numberDecimal": "1.5"},
    }
