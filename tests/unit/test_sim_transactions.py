"""Transactions of the simulated server over time: snapshots, claims, expiry, locks, failover."""

from __future__ import annotations

from typing import Any

import pytest
from command_steps import (
    INC,
    MAJORITY,
    SET,
    A,
    B,
    abort,
    begin,
    commit,
    delete,
    find,
    get_more,
    index,
    insert,
    modify,
    update,
    within,
    write,
)
from simulated_set import SimulatedSet

from harness.sim.server.defects import Defects

TRANSIENT = ["TransientTransactionError"]
SECOND_US = 1_000_000


def values(reply: dict[str, Any]) -> list[Any]:
    """Return the field ``a`` of the documents of a find."""
    return [document.get("a") for document in reply["cursor"]["firstBatch"]]


def test_a_commit_is_one_oplog_entry() -> None:
    """All writes of a transaction become visible, and replicate, at one cluster time."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    before = server.replica_set.primary.last  # type: ignore[union-attr]
    server(update({"_id": 1}, INC, more=begin(1)))
    server(insert({"_id": 2}, {"_id": 3}, **within(1)))
    assert server.replica_set.primary.last is before  # type: ignore[union-attr]
    server(commit(1))
    entry = server.replica_set.primary.last  # type: ignore[union-attr]
    assert entry.previous is before
    assert [change.kind for change in entry.changes] == ["update", "insert", "insert"]


def test_a_transaction_reads_at_its_first_operation() -> None:
    """What was committed before its first statement is seen, though it is not majority-committed; later writes not."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}, writeConcern={"w": 1}))
    assert values(server(find(**begin(1)))) == [1]
    server(update({"_id": 1}, INC))
    assert values(server(find(**within(1)))) == [1]
    assert values(server(find())) == [2]


def test_first_updater_wins() -> None:
    """Of two transactions on one document, the later writer fails at once, transiently; the first commits."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(find(**begin(1)))
    server(find(**begin(1, B)))
    assert server(update({"_id": 1}, INC, more=within(1)))["nModified"] == 1
    refused = server(update({"_id": 1}, INC, more=within(1, B)))
    assert (refused["code"], refused["errorLabels"]) == (112, TRANSIENT)
    assert server(commit(1, B))["code"] == 251
    assert server(commit(1))["ok"] == 1.0
    assert values(server(find())) == [2]


def test_what_was_written_after_the_snapshot_is_not_overwritten() -> None:
    """A transaction that read a document before another changed it cannot write it."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    for number, command in enumerate((update({"_id": 1}, SET), delete({"_id": 1}))):
        server(find(**begin(number)))
        server(command)
        refused = server(update({"_id": 1}, INC, more=within(number)))
        assert (refused["code"], refused["errorLabels"]) == (112, TRANSIENT)


def test_an_error_of_a_statement_aborts() -> None:
    """A duplicate key in a transaction ends it, though the reply has no error at its top."""
    server = SimulatedSet()
    server(insert({"_id": 1}))
    server(insert({"_id": 2}, **begin(1)))
    assert server(insert({"_id": 1}, **within(1)))["ok"] == 1.0
    assert server(commit(1))["code"] == 251
    assert server.documents("test.c") == [{"_id": 1}]


def test_claims_end_with_the_transaction() -> None:
    """What an aborted transaction had written is free again."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more=begin(1)))
    server(abort(1))
    assert server(update({"_id": 1}, SET, more=begin(1, B)))["nModified"] == 1


def test_statements_see_own_writes_only() -> None:
    """A transaction sees what it wrote, and nobody else does."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more=begin(1)))
    server(delete({"_id": 1}, **begin(1, B)))
    assert values(server(find(**within(1)))) == [2]
    assert values(server(find())) == [1]


def test_a_transaction_expires() -> None:
    """After its lifetime it is gone: its next statement and its commit get 251, and its claims are free."""
    server = SimulatedSet(transaction_lifetime_us=60 * SECOND_US)
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more=begin(1)))
    server.advance(59 * SECOND_US)
    assert server(find(**within(1)))["ok"] == 1.0
    server.advance(2 * SECOND_US)
    for command in (find(**within(1)), commit(1)):
        reply = server(command)
        assert (reply["code"], reply["errorLabels"]) == (251, TRANSIENT)
    assert server(update({"_id": 1}, INC))["nModified"] == 1


def test_a_write_waits_until_a_transaction_expires() -> None:
    """A plain write without a limit waits as long as the transaction that holds the document lives."""
    server = SimulatedSet(transaction_lifetime_us=60 * SECOND_US)
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more=begin(1)))
    started = server.kernel.now_us
    assert server(update({"_id": 1}, INC))["nModified"] == 1
    assert server.kernel.now_us - started >= 60 * SECOND_US
    assert values(server(find())) == [2]


def test_a_transaction_does_not_wait_long_for_a_collection() -> None:
    """While a drop waits for another transaction, a statement on that collection gets 24 after the lock timeout."""
    server = SimulatedSet(lock_timeout_us=5_000)
    server(insert({"_id": 1}))
    server(find(**begin(1)))
    dropping = server.kernel.spawn("drop", server.command({"drop": "c"}), vital=False)
    server.advance(1_000)
    started = server.kernel.now_us
    reply = server(find(**begin(1, B)))
    assert (reply["code"], reply["errorLabels"]) == (24, TRANSIENT)
    assert server.kernel.now_us - started == 5_000
    server(abort(1))
    server.advance(1_000)
    assert dropping.done
    assert dropping.result["ok"] == 1.0


def test_plain_writes_queue_behind_a_drop() -> None:
    """A write that comes while a drop waits runs after it, on a collection of its own."""
    server = SimulatedSet()
    server(insert({"_id": 1}))
    server(find(**begin(1)))

    async def finish() -> None:
        await server.kernel.sleep(10_000)
        await server.command(abort(1))

    async def late_insert() -> dict[str, Any]:
        await server.kernel.sleep(1_000)
        return await server.command(insert({"_id": 1, "a": 2}))

    dropped, inserted, _ = server.run_together(server.command({"drop": "c"}), late_insert(), finish())
    assert (dropped["ok"], inserted["n"]) == (1.0, 1)
    assert server.documents("test.c") == [{"_id": 1, "a": 2}]


def test_a_transaction_is_lost_in_a_failover() -> None:
    """On the new primary its next statement and its commit get 251, and nothing of it is there."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}, writeConcern=MAJORITY))
    server(update({"_id": 1}, INC, more=begin(1)))
    server.replica_set.kill("m1")
    server.advance(5 * SECOND_US)
    assert server(find(**within(1)))["code"] == 251
    assert server(commit(1))["code"] == 251
    assert values(server(find())) == [1]


def test_a_transaction_ends_with_a_step_down() -> None:
    """The old primary refuses its statements with a transient error, and its commit so that it may be retried."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}, writeConcern=MAJORITY))
    server(update({"_id": 1}, INC, more=begin(1)))
    server.run(server.replica_set.step_down("m1"))
    server.advance(SECOND_US)
    statement = server(update({"_id": 1}, INC, more=within(1)), member="m1")
    assert (statement["code"], statement["errorLabels"]) == (10107, TRANSIENT)
    ending = server(commit(1), member="m1")
    assert (ending["code"], ending["errorLabels"]) == (10107, ["RetryableWriteError"])


def test_a_replicated_commit_may_be_repeated_on_the_new_primary() -> None:
    """A commit whose answer was lost is answered again elsewhere, without being applied again."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more=begin(1)))
    server(commit(1, writeConcern=MAJORITY))
    server.replica_set.kill("m1")
    server.advance(5 * SECOND_US)
    assert server(commit(1, writeConcern=MAJORITY))["ok"] == 1.0
    assert server(find(**within(1)))["code"] == 256
    assert server(abort(1))["code"] == 256
    assert values(server(find())) == [2]


def test_a_commit_waits_for_its_write_concern() -> None:
    """A commit with a majority and a time limit gets 64, and stays committed here."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    for member in ("m2", "m3"):
        server.replica_set.lag(member, on=True)
    server(update({"_id": 1}, INC, more=begin(1)))
    reply = server(commit(1, writeConcern={"w": "majority", "wtimeout": 100}))
    assert reply["ok"] == 1.0
    assert reply["writeConcernError"]["code"] == 64
    assert values(server(find())) == [2]


def test_a_read_only_commit_waits_for_a_majority() -> None:
    """A commit without writes makes the member prove that it is primary."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}, writeConcern=MAJORITY))
    server(find(**begin(1)))
    for member in ("m2", "m3"):
        server.replica_set.lag(member, on=True)
    reply = server(commit(1, writeConcern={"w": "majority", "wtimeout": 100}))
    assert reply["writeConcernError"]["code"] == 64


def test_unique_keys_are_claimed() -> None:
    """A key that an open transaction inserted is not free, one that it gave up is still taken."""
    server = SimulatedSet()
    server(index({"k": 1}, "k_1", unique=True))
    server(insert({"_id": 1, "k": 1}))
    server(update({"_id": 1}, {"$set": {"k": 2}}, more=begin(1)))
    assert server(insert({"_id": 2, "k": 2}, **begin(1, B)))["code"] == 112
    assert server(insert({"_id": 2, "k": 1}, **begin(2, B)))["writeErrors"][0]["code"] == 11000
    assert server(insert({"_id": 2, "k": 2}, maxTimeMS=20))["code"] == 50
    server(commit(1))
    assert server(insert({"_id": 2, "k": 2}))["writeErrors"][0]["code"] == 11000
    assert server(insert({"_id": 2, "k": 1}))["n"] == 1


def test_an_index_that_came_later_holds_for_a_transaction() -> None:
    """A unique index made after a snapshot is checked by the transaction's inserts too."""
    server = SimulatedSet()
    server(insert({"_id": 1, "k": 1}))
    server({"create": "other"})
    server({"find": "other", **begin(1)})
    server(index({"k": 1}, "k_1", unique=True))
    assert server(insert({"_id": 2, "k": 1}, **within(1)))["writeErrors"][0]["code"] == 11000


def test_cursors_of_a_transaction_end_with_it() -> None:
    """A cursor opened in a transaction goes on in it alone."""
    server = SimulatedSet()
    server(insert({"_id": 1}, {"_id": 2}, {"_id": 3}))
    opened = server(find(batchSize=1, **begin(1)))
    more: Any = get_more(0)
    command = more([opened])
    assert server({**command, "lsid": A})["code"] == 50740
    assert server({**command, **within(1)})["cursor"]["nextBatch"] == [{"_id": 2}, {"_id": 3}]


def test_statements_of_one_session_run_one_after_the_other() -> None:
    """A command of a session waits while another of it runs."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more=begin(1, B)))
    blocked = update({"_id": 1}, INC, more=write(5))

    async def finish() -> None:
        await server.kernel.sleep(50_000)
        await server.command(abort(1, B))

    async def again() -> dict[str, Any]:
        await server.kernel.sleep(10_000)
        return await server.command(blocked)

    first, second, _ = server.run_together(server.command(blocked), again(), finish())
    assert "retriedStmtIds" not in first
    assert second["retriedStmtIds"] == [0]
    assert values(server(find())) == [2]


def test_killing_sessions_aborts() -> None:
    """``killAllSessions`` ends every open transaction."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more=begin(1)))
    server({"killAllSessions": [], "$db": "admin"})
    assert server(commit(1))["code"] == 251
    assert server(modify({"_id": 1}, INC))["lastErrorObject"]["n"] == 1


@pytest.mark.parametrize(
    ("defect", "seen"),
    [
        ("transaction_ignores_conflicts", [3]),
        ("transaction_reads_past_snapshot", [2]),
        ("aborted_transaction_leaves_write", [7]),
    ],
)
def test_server_defects_of_transactions(defect: str, seen: list[int]) -> None:
    """Each switch of a wrong server does what it says."""
    server = SimulatedSet(defects=Defects(**{defect: True}))
    server(insert({"_id": 1, "a": 1}))
    server(find(**begin(1)))
    server(update({"_id": 1}, INC))
    if defect == "transaction_ignores_conflicts":
        server(update({"_id": 1}, {"$set": {"a": 3}}, more=within(1)))
        server(commit(1))
    elif defect == "transaction_reads_past_snapshot":
        assert values(server(find(**within(1)))) == seen
    else:
        server(abort(1))
        server(update({"_id": 1}, {"$set": {"a": 7}}, more=begin(2)))
        server(abort(2))
    assert values(server(find())) == seen
