"""Retryable writes of the simulated server: what a repetition gets, also after failover and rollback."""

from __future__ import annotations

from typing import Any

from command_steps import (
    INC,
    MAJORITY,
    A,
    B,
    begin,
    commit,
    delete,
    find,
    insert,
    modify,
    update,
    updates,
    within,
    write,
)
from harness_links import isolate
from simulated_set import SimulatedSet

from harness.sim.server.defects import Defects

SECOND_US = 1_000_000
ONE = {"w": 1}


def values(server: SimulatedSet) -> list[Any]:
    """Return the field ``a`` of what the primary has."""
    return [document.get("a") for document in server.documents("test.c")]


def test_a_repetition_is_answered_and_not_applied() -> None:
    """The second attempt has the first one's result, marked as retried."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    first, second = (server(update({"_id": 1}, INC, more=write(1))) for _ in range(2))
    assert (first["nModified"], second["nModified"], second["retriedStmtIds"]) == (1, 1, [0])
    assert values(server) == [2]


def test_the_record_is_replicated_with_the_write() -> None:
    """A retry on the new primary finds that the write was done."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more={**write(1), "writeConcern": MAJORITY}))
    server.replica_set.kill("m1")
    server.advance(5 * SECOND_US)
    assert server(update({"_id": 1}, INC, more=write(1)))["retriedStmtIds"] == [0]
    assert values(server) == [2]


def test_the_record_is_rolled_back_with_the_write() -> None:
    """A write that only an isolated primary had is executed by its retry on the new one: once in what survives."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}, writeConcern=MAJORITY))
    isolate(server.replica_set, "m1")
    lost = update({"_id": 1}, INC, more={**write(1), "writeConcern": ONE})
    assert server(lost, member="m1")["nModified"] == 1
    server.advance(5 * SECOND_US)
    again = server(lost)
    assert (again["nModified"], "retriedStmtIds" in again) == (1, False)
    server.run(server.replica_set.settle())
    server.advance(5 * SECOND_US)
    assert values(server) == [2]
    assert server(lost)["retriedStmtIds"] == [0]


def test_a_stored_image_survives_later_writes() -> None:
    """``findAndModify`` is answered with the image of its first execution, whatever the document is by now."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    command = modify({"_id": 1}, INC, new=True, **write(1))
    assert server(command)["value"] == {"_id": 1, "a": 2}
    server(delete({"_id": 1}))
    again = server(command)
    assert (again["value"], again["retriedStmtId"]) == ({"_id": 1, "a": 2}, 0)


def test_a_partly_executed_batch_goes_on() -> None:
    """The statements that were done are answered, the others executed."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}, {"_id": 2, "a": 1}))
    one, two = ({"q": {"_id": i}, "u": INC} for i in (1, 2))
    server(updates(one, **write(1)))
    reply = server(updates(one, two, **write(1)))
    assert (reply["n"], reply["nModified"], reply["retriedStmtIds"]) == (2, 2, [0])
    assert server(updates(one, two, **write(1)))["retriedStmtIds"] == [0, 1]
    assert values(server) == [2, 2]


def test_a_session_forgets_all_but_its_last_number() -> None:
    """A number that is behind is refused with 225, on the new primary too."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more={**write(5), "writeConcern": MAJORITY}))
    assert server(update({"_id": 1}, INC, more=write(4)))["code"] == 225
    assert server(update({"_id": 1}, INC, more=write(4, B)))["nModified"] == 1
    server.replica_set.kill("m1")
    server.advance(5 * SECOND_US)
    assert server(update({"_id": 1}, INC, more=write(4)))["code"] == 225


def test_a_number_is_for_a_write_or_for_a_transaction() -> None:
    """A retryable write under the number of a transaction is refused, and the other way round."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(find(**begin(3)))
    server(commit(3))
    assert server(update({"_id": 1}, INC, more=write(3)))["code"] == 217
    server(update({"_id": 1}, INC, more=write(4)))
    assert server(find(**begin(4)))["code"] == 117
    assert server(find(**within(4)))["code"] == 251


def test_a_write_ends_the_open_transaction_of_its_session() -> None:
    """A higher number aborts what is open in the session."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more=begin(1)))
    assert server(update({"_id": 1}, INC, more=write(2)))["nModified"] == 1
    assert server(commit(1))["code"] == 225
    assert values(server) == [2]


def test_only_single_statements_are_retryable() -> None:
    """``updateMany`` and deleteMany under a number are refused, and leave everything as it was."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    assert server(update({}, INC, multi=True, more=write(1)))["writeErrors"][0]["code"] == 72
    assert server(delete({}, 0, **write(2)))["writeErrors"][0]["code"] == 72
    assert values(server) == [1]


def test_server_defect_of_retries() -> None:
    """A server that forgets executes the second attempt."""
    server = SimulatedSet(defects=Defects(retry_applies_twice=True))
    server(insert({"_id": 1, "a": 1}))
    for _ in range(2):
        server(update({"_id": 1}, INC, more=write(1)))
    assert values(server) == [3]


def test_sessions_do_not_share_numbers() -> None:
    """The same number in two sessions is two writes."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    for session in (A, B):
        server(update({"_id": 1}, INC, more=write(1, session)))
    assert values(server) == [3]
