"""The simulated server's commands beyond single replies: waits, roles, TTL, footprints, fail points."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from bson.int64 import Int64
from command_steps import INC, MAJORITY, SET, A, begin, delete, find, index, insert, modify, update, write
from simulated_set import START_US, Choosing, SimulatedSet, documents_of

from harness.errors import BackendError
from harness.sim.server.commands.fail_points import FailPoints
from harness.sim.server.commands.footprints import footprint_of
from harness.sim.server.defects import Defects
from harness.sim.server.errors import MemberGone

ONE = {"w": 1}
BEGINNING = datetime.datetime.fromtimestamp(START_US // 1_000_000, tz=datetime.UTC).replace(tzinfo=None)
SECONDARY_OK = {"$readPreference": {"mode": "secondaryPreferred"}}


def test_a_reply_carries_cluster_time_and_operation_time() -> None:
    """A write's operation time is its entry's, and the member's cluster time is at least that."""
    server = SimulatedSet()
    reply = server(insert({"_id": 1}))
    assert reply["operationTime"] == reply["opTime"]["ts"]
    assert reply["$clusterTime"]["clusterTime"] >= reply["operationTime"]
    later = server(find())
    assert later["operationTime"] == reply["operationTime"]


def test_a_gossiped_cluster_time_is_passed_on() -> None:
    """A member tells the newest cluster time that it was told."""
    server = SimulatedSet()
    ahead = server(find())["$clusterTime"]
    newer = {**ahead, "clusterTime": type(ahead["clusterTime"])(ahead["clusterTime"].time + 50, 7)}
    assert server(find({}, **{"$clusterTime": newer}))["$clusterTime"]["clusterTime"] == newer["clusterTime"]


def test_a_secondary_refuses_writes_and_plain_reads() -> None:
    """Writes get 10107 there, reads without a read preference 13435, with one the data."""
    server = SimulatedSet()
    server(insert({"_id": 1}))
    assert server(insert({"_id": 2}), member="m2")["code"] == 10107
    assert server(find(), member="m2")["code"] == 13435
    assert documents_of(server(find(**SECONDARY_OK), member="m2")) == [{"_id": 1}]


def test_a_refused_retryable_write_is_labelled() -> None:
    """A retryable write that a secondary refuses may be sent again; one without a number not."""
    server = SimulatedSet()
    assert server(insert({"_id": 1}, **write(1)), member="m2")["errorLabels"] == ["RetryableWriteError"]
    assert "errorLabels" not in server(insert({"_id": 1}), member="m2")


def test_a_member_in_rollback_answers_no_read() -> None:
    """A member that is neither primary nor secondary answers 13436."""
    server = SimulatedSet()
    server.replica_set.members["m2"].role = "ROLLBACK"
    assert server(find(**SECONDARY_OK), member="m2")["code"] == 13436


def test_a_write_waits_for_a_transaction() -> None:
    """A plain write of what an open transaction wrote goes on when that one ends."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more=begin(1)))

    async def end() -> None:
        await server.kernel.sleep(500_000)
        await server.command(
            {"abortTransaction": 1, "lsid": A, "txnNumber": Int64(1), "autocommit": False, "$db": "admin"}
        )

    reply, _ = server.run_together(server.command(update({"_id": 1}, {"$inc": {"a": 10}})), end())
    assert reply["nModified"] == 1
    assert server.documents("test.c")[0]["a"] == 11
    assert server.kernel.now_us - START_US >= 500_000


def test_a_write_that_waits_is_ended_by_its_time_limit() -> None:
    """With maxTimeMS the same write gets 50, and has no effect."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more=begin(1)))
    assert server(update({"_id": 1}, INC, more={"maxTimeMS": 50}))["code"] == 50
    assert server.kernel.now_us - START_US >= 50_000


def test_an_unconfirmed_majority_times_out_and_stays_applied() -> None:
    """``wtimeout`` gives a writeConcernError 64 without a label; the document is there all the same."""
    server = SimulatedSet()
    for member in ("m2", "m3"):
        server.replica_set.lag(member, on=True)
    reply = server(insert({"_id": 1}, writeConcern={"w": "majority", "wtimeout": 100}, **write(1)))
    assert reply["ok"] == 1.0
    assert reply["writeConcernError"]["code"] == 64
    assert reply["writeConcernError"]["errInfo"]["wtimeout"] is True
    assert "errorLabels" not in reply
    assert server.documents("test.c") == [{"_id": 1}]


def test_errors_and_no_ops_wait_for_what_was_written_before() -> None:
    """A duplicate key and an unmatched update wait for the node's last entry, and time out with it."""
    server = SimulatedSet()
    server(insert({"_id": 1}))
    for member in ("m2", "m3"):
        server.replica_set.lag(member, on=True)
    server(insert({"_id": 2}, writeConcern=ONE))
    limit = {"w": "majority", "wtimeout": 100}
    duplicate = server(insert({"_id": 1}, writeConcern=limit))
    assert duplicate["writeErrors"][0]["code"] == 11000
    assert duplicate["writeConcernError"]["code"] == 64
    assert server(update({"_id": 9}, INC, more={"writeConcern": limit}))["writeConcernError"]["code"] == 64


def test_a_no_op_after_a_committed_write_needs_no_quorum() -> None:
    """Where the last entry is committed, a no-op is majority-acknowledged although nobody else is there."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 5}, writeConcern=MAJORITY))
    for member in ("m2", "m3"):
        server.replica_set.lag(member, on=True)
    reply = server(update({"_id": 1}, SET, more={"writeConcern": {"w": "majority", "wtimeout": 100}}))
    assert reply["n"] == 1
    assert "writeConcernError" not in reply


def test_a_command_that_waits_dies_with_its_member() -> None:
    """A write that waits for a transaction on a member that is killed never answers."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more=begin(1)))

    async def write_on_m1() -> str:
        try:
            await server.command(update({"_id": 1}, INC), member="m1")
        except MemberGone:
            return "gone"
        return "answered"

    async def kill() -> None:
        await server.kernel.sleep(1000)
        server.replica_set.kill("m1")

    assert server.run_together(write_on_m1(), kill())[0] == "gone"


def test_a_command_that_waits_is_interrupted_by_a_step_down() -> None:
    """A write that waits for a transaction when its primary steps down gets 11602, and may be retried."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}))
    server(update({"_id": 1}, INC, more=begin(1)))

    async def step_down() -> None:
        await server.kernel.sleep(1000)
        await server.replica_set.step_down("m1", force=True)

    blocked = server.command(update({"_id": 1}, INC, more=write(7, {"id": b"other session id"})), member="m1")
    reply = server.run_together(blocked, step_down())[0]
    assert reply["code"] == 11602
    assert reply["errorLabels"] == ["RetryableWriteError"]


def test_expired_documents_go_at_the_next_pass() -> None:
    """A document stays readable after its expiry until the TTL monitor comes by; others stay."""
    server = SimulatedSet(ttl_interval_us=60_000_000)
    server(index({"at": 1}, "at_1", expireAfterSeconds=5))
    now = BEGINNING
    old = now - datetime.timedelta(seconds=60)
    server(insert({"_id": 1, "at": old}, {"_id": 2, "at": now + datetime.timedelta(days=1)}, {"_id": 3, "at": "x"}))
    server(insert({"_id": 4, "at": [now + datetime.timedelta(days=1), old]}, {"_id": 5}))
    server.advance(59_000_000)
    assert len(server.documents("test.c")) == 5
    server.advance(2_000_000)
    assert [document["_id"] for document in server.documents("test.c")] == [2, 3, 5]


def test_documents_expire_by_the_clock_of_the_primary() -> None:
    """A primary whose clock is ahead removes documents early."""
    server = SimulatedSet(ttl_interval_us=1_000_000, clock_skew_us={"m1": 3600_000_000})
    server(index({"at": 1}, "at_1", expireAfterSeconds=0))
    now = BEGINNING
    server(insert({"_id": 1, "at": now + datetime.timedelta(minutes=30)}))
    server.advance(1_500_000)
    assert server.documents("test.c") == []


def test_the_ttl_of_an_index_can_be_changed() -> None:
    """``collMod`` sets another expiry."""
    server = SimulatedSet()
    server(index({"at": 1}, "at_1", expireAfterSeconds=5))
    change = {"collMod": "c", "index": {"name": "at_1", "expireAfterSeconds": 50}}
    reply = server(change)
    assert (reply["expireAfterSeconds_old"], reply["expireAfterSeconds_new"]) == (5, 50)
    assert server(change | {"index": {"name": "no", "expireAfterSeconds": 5}})["code"] == 27


def test_hello_says_who_is_primary() -> None:
    """Every member names the primary; under its old name the command answers with the old field."""
    server = SimulatedSet()
    assert server({"hello": 1})["isWritablePrimary"] is True
    other = server({"hello": 1}, member="m2")
    assert (other["isWritablePrimary"], other["secondary"], other["primary"]) == (False, True, "m1:27017")
    assert server({"isMaster": 1})["ismaster"] is True


def test_administration_answers() -> None:
    """The commands that clients and tools ask of a server answer with what is modelled."""
    server = SimulatedSet(transaction_lifetime_us=30_000_000)
    assert server({"buildInfo": 1})["version"] == "6.0.5"
    assert server({"serverStatus": 1})["process"] == "mongod"
    assert server({"connectionStatus": 1})["authInfo"]["authenticatedUsers"] == []
    assert (
        server({"getParameter": 1, "transactionLifetimeLimitSeconds": 1, "$db": "admin"})[
            "transactionLifetimeLimitSeconds"
        ]
        == 30
    )
    assert server({"getParameter": 1, "nope": 1, "$db": "admin"})["code"] == 72
    assert server({"getDefaultRWConcern": 1, "$db": "admin"})["defaultWriteConcern"] == {"w": "majority", "wtimeout": 0}
    states = [member["stateStr"] for member in server({"replSetGetStatus": 1, "$db": "admin"})["members"]]
    assert states == ["PRIMARY", "SECONDARY", "SECONDARY"]
    assert len(server({"replSetGetConfig": 1, "$db": "admin"})["config"]["members"]) == 3


def test_an_open_transaction_is_among_the_current_operations() -> None:
    """``currentOp`` tells of an open transaction, and not any more after its end."""
    server = SimulatedSet()
    server(insert({"_id": 1}, **begin(1)))
    assert len(server({"currentOp": 1, "$db": "admin"})["inprog"]) == 1
    server({"killAllSessions": [], "$db": "admin"})
    assert server({"currentOp": 1, "$db": "admin"})["inprog"] == []


def test_a_primary_steps_down_when_asked() -> None:
    """``replSetStepDown`` hands over; a secondary refuses it."""
    server = SimulatedSet()
    assert server({"replSetStepDown": 60, "$db": "admin"}, member="m2")["code"] == 10107
    assert server({"replSetStepDown": 60, "$db": "admin"}, member="m1")["ok"] == 1.0
    server.advance(2_000_000)
    assert server.replica_set.primary is not server.replica_set.members["m1"]


def test_a_fail_point_counts_down_and_skips() -> None:
    """``times`` acts so often, ``skip`` so often not, ``off`` never again."""
    points = FailPoints()
    command = {"configureFailPoint": "failCommand", "data": {}}
    points.configure("m1", {**command, "mode": {"times": 2}})
    assert [points.hit("m1", "failCommand") is not None for _ in range(3)] == [True, True, False]
    points.configure("m1", {**command, "mode": {"skip": 1}})
    assert [points.hit("m1", "failCommand") is not None for _ in range(3)] == [False, True, True]
    points.configure("m1", {**command, "mode": "off"})
    assert not points.any_armed


def test_a_fail_point_closes_the_connection() -> None:
    """``closeConnection`` gives no answer, and the command does not run."""
    server = SimulatedSet()
    data = {"failCommands": ["insert"], "closeConnection": True}
    server({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data, "$db": "admin"})

    async def attempt() -> str:
        try:
            await server.command(insert({"_id": 1}))
        except MemberGone:
            return "closed"
        return "answered"

    assert server.run(attempt()) == "closed"
    assert server.documents("test.c") == []


def test_a_fail_point_loses_the_answer_of_a_retryable_write() -> None:
    """``onPrimaryTransactionalWrite`` closes the connection after the write, or fails it before with a code."""
    server = SimulatedSet()
    point = {"configureFailPoint": "onPrimaryTransactionalWrite", "mode": {"times": 1}, "$db": "admin"}
    server({**point, "data": {"failBeforeCommitExceptionCode": 8, "closeConnection": False}})
    assert server(insert({"_id": 1}, **write(1)))["code"] == 8
    assert server.documents("test.c") == []
    server(point)

    async def attempt() -> str:
        try:
            await server.command(insert({"_id": 1}, **write(2)))
        except MemberGone:
            return "closed"
        return "answered"

    assert server.run(attempt()) == "closed"
    assert server(insert({"_id": 1}, **write(2)))["retriedStmtIds"] == [0]


def test_the_fail_point_that_loses_an_answer_lets_the_command_end() -> None:
    """A batch does all its statements, a transaction commits, and then the connection closes."""
    server = SimulatedSet()
    point = {"configureFailPoint": "onPrimaryTransactionalWrite", "mode": {"times": 1}, "$db": "admin"}
    open_one = {**write(2), "autocommit": False}

    async def attempt(command: dict[str, Any]) -> str:
        try:
            await server.command(command)
        except MemberGone:
            return "closed"
        return "answered"

    server(point)
    assert server.run(attempt(insert({"_id": 1}, {"_id": 2}, **write(1)))) == "closed"
    assert server.documents("test.c") == [{"_id": 1}, {"_id": 2}]
    server(point)
    assert server.run(attempt(insert({"_id": 3}, **open_one, startTransaction=True))) == "answered"
    assert server.run(attempt({"commitTransaction": 1, "$db": "admin", **open_one})) == "closed"
    assert server.documents("test.c") == [{"_id": 1}, {"_id": 2}, {"_id": 3}]
    assert server({"commitTransaction": 1, "$db": "admin", **open_one})["ok"] == 1


@pytest.mark.parametrize(
    ("command", "touched"),
    [
        (insert({"_id": 1}, {"_id": 2}), (("test.c:1", True), ("test.c:2", True))),
        (insert({"a": 1}), (("test.c:*", True),)),
        (update({"_id": 1, "a": 2}, INC), (("test.c:1", True),)),
        (update({"a": 2}, INC), (("test.c:*", True),)),
        (delete({"_id": {"$in": [1]}}), (("test.c:*", True),)),
        (modify({"_id": "x"}, INC), (("test.c:'x'", True),)),
        (find({"_id": 1}), (("test.c:1", False),)),
        (find(), (("test.c:*", False),)),
        ({"aggregate": "c", "pipeline": [{"$match": {}}]}, (("test.c:*", False),)),
        ({"aggregate": "c", "pipeline": [{"$lookup": {}}]}, None),
        ({"drop": "c"}, (("test.c:*", True),)),
        ({"hello": 1}, ()),
        ({"getMore": Int64(1), "collection": "c"}, None),
        (find({"_id": 1}, **begin(1)), None),
    ],
)
def test_footprints(command: dict[str, Any], touched: Any) -> None:
    """A command's footprint names the documents that it pins, else the whole collection, else nothing certain."""
    assert footprint_of({**command, "$db": "test"}) == touched


def test_what_is_not_modelled_is_an_error() -> None:
    """A server feature outside of the model is refused by name, never ignored."""
    server = SimulatedSet()
    server(insert({"_id": 1}))

    async def run(command: dict[str, Any]) -> str:
        try:
            await server.command(command)
        except BackendError as error:
            return str(error)
        return "answered"

    for command, name in (
        ({"create": "d", "capped": True}, "capped"),
        ({"collStats": "c"}, "collStats"),
        (find(collation={"locale": "de"}), "collation"),
        (find(showRecordId=True), "showRecordId"),
        (index({"a": "text"}, "a_text"), "text"),
        (
            {"aggregate": "c", "pipeline": [{"$changeStream": {"showExpandedEvents": True}}], "cursor": {}},
            "showExpanded",
        ),
    ):
        assert name in server.run(run(command)), command


def test_server_defects_of_single_writes() -> None:
    """Each switch of a wrong server does what it says."""
    unchecked = SimulatedSet(defects=Defects(unique_check_dropped=True))
    unchecked(index({"k": 1}, "k_1", unique=True))
    unchecked(insert({"_id": 1, "k": 1}, {"_id": 2, "k": 1}))
    assert len(unchecked.documents("test.c")) == 2

    early = SimulatedSet(defects=Defects(update_many_stops_early=True))
    early(insert(*({"_id": i, "a": 0} for i in range(3))))
    assert early(update({}, INC, multi=True))["nModified"] == 3
    assert [document["a"] for document in early.documents("test.c")] == [1, 1, 0]

    expiring = SimulatedSet(defects=Defects(ttl_deletes_unexpired=True), ttl_interval_us=1_000_000)
    expiring(index({"at": 1}, "at_1", expireAfterSeconds=10))
    expiring(insert({"_id": 1, "at": BEGINNING + datetime.timedelta(days=900)}))
    expiring.advance(2_000_000)
    assert expiring.documents("test.c") == []


def test_server_defect_of_timeouts() -> None:
    """A write whose concern timed out is answered as one that was not applied."""
    server = SimulatedSet(defects=Defects(wtimeout_reported_as_not_applied=True))
    for member in ("m2", "m3"):
        server.replica_set.lag(member, on=True)
    reply = server(insert({"_id": 1}, writeConcern={"w": "majority", "wtimeout": 100}))
    assert (reply["ok"], reply["code"]) == (0.0, 112)
    assert server.documents("test.c") == [{"_id": 1}]


def test_choices_of_a_secondary_read() -> None:
    """A secondary that may be behind answers with what was chosen for it."""
    server = SimulatedSet(strategy=Choosing(applied="behind 1"))
    server(insert({"_id": 1}))
    server(insert({"_id": 2}))
    assert documents_of(server(find(**SECONDARY_OK), member="m2")) == [{"_id": 1}]
