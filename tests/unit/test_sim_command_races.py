"""Where others may run while a command of the simulated server runs, and what comes of it."""

from __future__ import annotations

from command_steps import INC, MAJORITY, SET, delete, find, index, insert, modify, update
from simulated_set import Interleaving, SimulatedSet, documents_of

from harness.sim.server.defects import Defects

ONE = {"w": 1}


def test_upserts_without_a_unique_index_race() -> None:
    """Two upserts of one key, each between the other's look and insert, leave two documents."""
    server = SimulatedSet(strategy=Interleaving("client 0", "client 1", "client 0", "client 1"))
    server(insert({"_id": 0}))
    upsert = update({"k": 1}, SET, upsert=True)
    server.run_together(server.command(upsert), server.command(upsert))
    assert len([document for document in server.documents("test.c") if document.get("k") == 1]) == 2


def test_an_upsert_that_lost_a_race_becomes_an_update() -> None:
    """With a unique index and an equality on its key, the loser updates what the winner inserted."""
    server = SimulatedSet(strategy=Interleaving("client 0", "client 1", "client 0", "client 1"))
    server(index({"k": 1}, "k_1", unique=True))
    upsert = update({"k": 1}, INC, upsert=True)
    replies = server.run_together(server.command(upsert), server.command(upsert))
    assert sorted(reply["nModified"] for reply in replies) == [0, 1]
    assert [document["a"] for document in server.documents("test.c")] == [2]


def test_an_upsert_with_more_than_the_key_gets_the_error() -> None:
    """The lock pattern: where the filter has more than the unique key, every loser gets 11000."""
    server = SimulatedSet(strategy=Interleaving("client 0", "client 1", "client 0", "client 1"))
    server(index({"k": 1}, "k_1", unique=True))
    upsert = update({"k": 1, "until": {"$lt": 5}}, {"$set": {"until": 10}}, upsert=True)
    replies = server.run_together(server.command(upsert), server.command(upsert))
    assert sorted(reply["n"] for reply in replies) == [0, 1]
    assert [error["code"] for reply in replies for error in reply.get("writeErrors", ())] == [11000]


def test_concurrent_upserts_by_id_have_one_winner() -> None:
    """``findAndModify`` with upsert by ``_id``, raced: one inserts, the other updates."""
    server = SimulatedSet(strategy=Interleaving("client 0", "client 1", "client 0", "client 1"))
    server(insert({"_id": 0}))
    command = modify({"_id": 1}, INC, upsert=True, new=True)
    replies = server.run_together(server.command(command), server.command(command))
    assert sorted(reply["value"]["a"] for reply in replies) == [1, 2]


def test_update_many_lets_others_in_between() -> None:
    """A find between two documents of an updateMany sees it half done."""
    server = SimulatedSet(strategy=Interleaving("client 0", "client 1"))
    server(insert(*({"_id": i, "a": 0} for i in range(3))))
    _, seen = server.run_together(server.command(update({}, INC, multi=True)), server.command(find()))
    assert [document["a"] for document in documents_of(seen)] == [1, 0, 0]


def test_update_many_looks_again_at_what_others_changed() -> None:
    """A document that stopped matching while others ran is left out; one inserted meanwhile is taken in."""
    server = SimulatedSet(strategy=Interleaving("client 0", "client 1", "client 1", "client 0"))
    server(insert({"_id": 1, "a": 1}, {"_id": 2, "a": 1}))

    async def other() -> None:
        await server.command(update({"_id": 2}, {"$set": {"a": 7}}, more={"writeConcern": ONE}))
        await server.command(insert({"_id": 3, "a": 1}, writeConcern=ONE))

    server.run_together(server.command(update({"a": 1}, {"$set": {"b": 1}}, multi=True)), other())
    assert [document.get("b") for document in server.documents("test.c")] == [1, None, 1]


def test_delete_many_removes_what_matches_by_then() -> None:
    """A document that stopped matching while others ran stays."""
    server = SimulatedSet(strategy=Interleaving("client 0", "client 1"))
    server(insert({"_id": 1, "a": 1}, {"_id": 2, "a": 1}))
    keep = update({"_id": 2}, {"$set": {"a": 2}}, more={"writeConcern": ONE})
    reply, _ = server.run_together(server.command(delete({"a": 1}, 0)), server.command(keep))
    assert reply["n"] == 1
    assert [document["_id"] for document in server.documents("test.c")] == [2]


def test_a_sorted_claim_checks_its_document_again() -> None:
    """Two sorted claims at once never get the same document; the loser gets none, though another would match."""
    server = SimulatedSet(strategy=Interleaving("client 0", "client 1", "client 0", "client 1"))
    server(insert(*({"_id": i, "state": "new"} for i in range(3))))
    claim = modify({"state": "new"}, {"$set": {"state": "taken"}}, sort={"_id": 1})
    values = [reply["value"] for reply in server.run_together(server.command(claim), server.command(claim))]
    assert values == [{"_id": 0, "state": "new"}, None]


def test_a_scan_may_see_half_of_two_writes() -> None:
    """A find yields: what it read before and after others ran need not belong together."""
    server = SimulatedSet(strategy=Interleaving("client 0", "client 1"))
    server(insert({"_id": 1, "a": 1}, {"_id": 2, "a": 1}))

    async def move() -> None:
        both = [{"q": {"_id": 1}, "u": {"$inc": {"a": -1}}}, {"q": {"_id": 2}, "u": {"$inc": {"a": 1}}}]
        await server.command({"update": "c", "updates": both, "writeConcern": ONE})

    seen, _ = server.run_together(server.command(find()), move())
    assert sum(document["a"] for document in documents_of(seen)) == 3


def test_a_snapshot_read_sees_one_point_in_time() -> None:
    """A find with read concern snapshot does not see what is written while it runs."""
    server = SimulatedSet(strategy=Interleaving("client 0", "client 1"))
    server(insert({"_id": 1, "a": 1}, {"_id": 2, "a": 1}, writeConcern=MAJORITY))
    seen, _ = server.run_together(
        server.command(find(readConcern={"level": "snapshot"})), server.command(update({}, INC, multi=True))
    )
    assert [document["a"] for document in documents_of(seen)] == [1, 1]


def test_server_defect_of_a_race_in_claims() -> None:
    """Without its second look, two claims get the same document."""
    turns = Interleaving("client 0", "client 1", "client 0", "client 1")
    server = SimulatedSet(strategy=turns, defects=Defects(find_and_modify_skips_recheck=True))
    server(insert({"_id": 0, "state": "new"}))
    claim = modify({"state": "new"}, {"$set": {"state": "taken"}}, new=True)
    values = [reply["value"] for reply in server.run_together(server.command(claim), server.command(claim))]
    assert values == [{"_id": 0, "state": "taken"}] * 2


def test_server_defect_of_upserts() -> None:
    """An upsert that inserts beside what appeared since leaves two documents of one unique key."""
    turns = Interleaving("client 0", "client 1", "client 0", "client 1")
    server = SimulatedSet(strategy=turns, defects=Defects(upsert_duplicates=True))
    server(index({"k": 1}, "k_1", unique=True))
    upsert = update({"k": 1}, SET, upsert=True)
    server.run_together(server.command(upsert), server.command(upsert))
    assert len(server.documents("test.c")) == 2
