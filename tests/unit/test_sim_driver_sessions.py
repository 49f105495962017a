"""Sessions, transactions, bulk writes and streams of the driver model."""

from __future__ import annotations

import pytest
from bson import Timestamp
from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    InvalidOperation,
    NetworkTimeout,
    OperationFailure,
)
from scripted_network import OK, Rig, failure, refusal

TRANSIENT = "TransientTransactionError"
UNKNOWN = "UnknownTransactionCommitResult"


def at(seconds):
    """Return a reply's times."""
    timestamp = Timestamp(seconds, 1)
    return {"operationTime": timestamp, "$clusterTime": {"clusterTime": timestamp, "signature": {}}}


def found(seconds):
    """Return the reply to a query, with its times."""
    return {"cursor": {"id": 0, "ns": "shop.orders", "firstBatch": []}, "ok": 1.0, **at(seconds)}


def test_a_causal_session_waits_for_what_it_has_seen():
    """Reads and writes name the highest operation time, and never an older one."""
    rig = Rig()
    rig.network.answers.extend([found(5), found(3), found(9), {"n": 1, "ok": 1.0, **at(9)}])

    async def calls():
        async with rig.client.start_session() as session:
            for _ in range(3):
                await rig.orders.find_one({}, session=session)
            await rig.orders.insert_one({"_id": 1}, session=session)
            return session.operation_time, session.cluster_time["clusterTime"]

    assert rig.run(calls()) == (Timestamp(9, 1), Timestamp(9, 1))
    concerns = [command.get("readConcern") for command in rig.network.commands]
    five, nine = Timestamp(5, 1), Timestamp(9, 1)
    assert concerns == [None, {"afterClusterTime": five}, {"afterClusterTime": five}, {"afterClusterTime": nine}]


def test_times_can_be_handed_to_another_session():
    """A session that was advanced waits for what the other has seen; older times change nothing."""
    rig = Rig()

    async def calls():
        async with rig.client.start_session() as session:
            session.advance_operation_time(Timestamp(7, 1))
            session.advance_operation_time(Timestamp(6, 1))
            session.advance_cluster_time({"clusterTime": Timestamp(8, 1)})
            await rig.orders.find_one({}, session=session)
            with pytest.raises(TypeError):
                session.advance_operation_time(5)
            with pytest.raises(TypeError, match="Invalid cluster_time"):
                session.advance_cluster_time({})

    rig.run(calls())
    (command,) = rig.network.commands
    assert command["readConcern"] == {"afterClusterTime": Timestamp(7, 1)}
    assert command["$clusterTime"] == {"clusterTime": Timestamp(8, 1)}


def test_the_client_passes_the_cluster_time_on():
    """What one call learns the next tells, to whichever member."""
    rig = Rig()
    rig.network.answers.extend([found(5), found(4), found(6)])

    async def calls():
        for _ in range(4):
            await rig.orders.find_one({})

    rig.run(calls())
    told = [command.get("$clusterTime", {}).get("clusterTime") for command in rig.network.commands]
    assert told == [None, Timestamp(5, 1), Timestamp(5, 1), Timestamp(6, 1)]
    assert all("readConcern" not in command for command in rig.network.commands)


def test_a_snapshot_session_reads_at_one_time():
    """The time of the first read is the time of all."""
    rig = Rig()
    first = found(5)
    first["cursor"]["atClusterTime"] = Timestamp(5, 1)
    rig.network.answers.extend([first, found(9)])

    async def calls():
        async with rig.client.start_session(snapshot=True) as session:
            await rig.orders.find_one({}, session=session)
            await rig.orders.find_one({}, session=session)

    rig.run(calls())
    assert [command["readConcern"] for command in rig.network.commands] == [
        {"level": "snapshot"},
        {"level": "snapshot", "atClusterTime": Timestamp(5, 1)},
    ]


def test_sessions_are_used_again_unless_a_connection_broke():
    """Implicit sessions are taken from a pool; one whose connection broke is not put back."""
    rig = Rig("retry=none")

    async def calls():
        await rig.orders.find_one({})
        await rig.orders.find_one({})
        rig.network.answers.append(failure("reset"))
        with pytest.raises(AutoReconnect):
            await rig.orders.find_one({})
        await rig.orders.find_one({})

    rig.run(calls())
    first, second, third, fourth = [command["lsid"]["id"] for command in rig.network.commands]
    assert first == second == third != fourth


def test_an_idle_session_is_not_used_again():
    """After 29 minutes the server may have forgotten it."""
    rig = Rig()

    async def calls():
        await rig.orders.find_one({})
        await rig.kernel.sleep(28 * 60 * 1_000_000)
        await rig.orders.find_one({})
        await rig.kernel.sleep(30 * 60 * 1_000_000)
        await rig.orders.find_one({})

    rig.run(calls())
    first, second, third = [command["lsid"]["id"] for command in rig.network.commands]
    assert first == second != third


def test_a_session_of_another_client_is_refused():
    """And so is one that has ended."""
    rig, other = Rig(), Rig()
    session = other.client.start_session()
    assert type(rig.error(rig.orders.find_one({}, session=session))) is InvalidOperation
    session = rig.client.start_session()
    rig.run(session.end_session())
    assert session.has_ended
    assert type(rig.error(rig.orders.find_one({}, session=session))) is InvalidOperation


def test_only_the_first_statement_starts_the_transaction():
    """Concerns go with the start and the commit alone."""
    rig = Rig("w=majority,readConcernLevel=majority")

    async def calls():
        async with rig.client.start_session() as session, await session.start_transaction():
            await rig.orders.insert_one({"_id": 1}, session=session)
            await rig.orders.find_one({}, session=session)

    rig.run(calls())
    insert, find, commit = rig.network.commands
    assert [command.get("startTransaction") for command in rig.network.commands] == [True, None, None]
    assert {command["txnNumber"] for command in rig.network.commands} == {1}
    assert all(command["autocommit"] is False for command in rig.network.commands)
    assert (insert["readConcern"], "writeConcern" in insert) == ({"level": "majority"}, False)
    assert "readConcern" not in find
    assert commit["writeConcern"] == {"w": "majority"}


def test_a_repeated_commit_asks_for_a_majority():
    """The repetition, the driver's or the caller's, has a write concern that makes its answer final."""
    rig = Rig("w=1")
    rig.network.answers.extend([{"n": 1, "ok": 1.0}, failure("reset"), OK, OK])

    async def calls():
        async with rig.client.start_session() as session:
            await session.start_transaction()
            await rig.orders.insert_one({"_id": 1}, session=session)
            await session.commit_transaction()
            await session.commit_transaction()

    rig.run(calls())
    concerns = [command["writeConcern"] for command in rig.network.commands[1:]]
    assert concerns == [{"w": 1}, {"w": "majority", "wtimeout": 10000}, {"w": "majority", "wtimeout": 10000}]


@pytest.mark.parametrize(
    ("replies", "label"),
    [
        pytest.param([failure("reset"), failure("reset")], UNKNOWN, id="broken connections"),
        pytest.param([refusal(11602), OK], UNKNOWN, id="interrupted"),
        pytest.param([refusal(50)], UNKNOWN, id="time-out"),
        pytest.param(
            [{"ok": 1.0, "writeConcernError": {"code": 64, "errmsg": "w", "errInfo": {"wtimeout": True}}}],
            UNKNOWN,
            id="wtimeout",
        ),
        pytest.param([refusal(251, "NoSuchTransaction", TRANSIENT)], TRANSIENT, id="no such transaction"),
        pytest.param([{"ok": 1.0, "writeConcernError": {"code": 100, "errmsg": "w"}}], "", id="impossible concern"),
    ],
)
def test_a_failed_commit_says_what_is_known_of_it(replies, label):
    """The label tells an unknown result from one that means: begin again."""
    rig = Rig()
    rig.network.answers.extend([{"n": 1, "ok": 1.0}, *replies])

    async def calls():
        async with rig.client.start_session() as session:
            await session.start_transaction()
            await rig.orders.insert_one({"_id": 1}, session=session)
            await session.commit_transaction()

    error = rig.error(calls())
    labels = {each for each in (TRANSIENT, UNKNOWN) if error.has_error_label(each)}
    assert labels == ({label} if label else set())


def test_an_exception_aborts_the_transaction():
    """And an abort that fails is nobody's concern."""
    rig = Rig()
    rig.network.answers.extend([{"n": 1, "ok": 1.0}, failure("reset"), failure("reset")])

    async def calls():
        async with rig.client.start_session() as session, await session.start_transaction():
            await rig.orders.insert_one({"_id": 1}, session=session)
            raise KeyError

    assert type(rig.error(calls())) is KeyError
    assert rig.network.names == ["insert", "abortTransaction", "abortTransaction"]


def transferring(rig, **options):
    """Return a body that runs one statement with ``with_transaction``."""

    async def callback(session):
        await rig.orders.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        return "done"

    async def calls():
        async with rig.client.start_session() as session:
            return await session.with_transaction(callback, **options)

    return calls()


def test_the_loop_begins_again_after_a_transient_error():
    """With a new number each time, after a wait that grows."""
    rig = Rig()
    conflict = refusal(112, "WriteConflict", TRANSIENT)
    rig.network.answers.extend([conflict, OK, conflict, OK])
    assert rig.run(transferring(rig)) == "done"
    assert rig.network.names == ["update", "abortTransaction"] * 2 + ["update", "commitTransaction"]
    assert [command["txnNumber"] for command in rig.network.commands] == [1, 1, 2, 2, 3, 3]


def test_the_loop_repeats_a_commit_of_unknown_result():
    """The callback is not run again for that."""
    rig = Rig()
    rig.network.answers.extend([{"n": 1, "ok": 1.0}, failure("reset"), failure("reset"), refusal(11602), OK])
    assert rig.run(transferring(rig)) == "done"
    assert rig.network.names == ["update"] + ["commitTransaction"] * 4


def test_the_loop_does_not_repeat_a_commit_that_timed_out():
    """MaxTimeMSExpired ends it, although the result is unknown."""
    rig = Rig()
    rig.network.answers.extend([{"n": 1, "ok": 1.0}, refusal(50)])
    error = rig.error(transferring(rig, max_commit_time_ms=100))
    assert error.has_error_label(UNKNOWN)
    assert rig.network.commands[1]["maxTimeMS"] == 100


def test_the_loop_ends_after_two_minutes():
    """Virtual ones: the last error is told as a time-out, with its labels."""
    rig = Rig()
    rig.network.default = refusal(112, "WriteConflict", TRANSIENT)
    error = rig.error(transferring(rig))
    assert type(error) is NetworkTimeout
    assert error.has_error_label(TRANSIENT)
    assert 119_000_000 < rig.elapsed_us < 121_000_000


def test_an_error_of_the_callback_ends_the_loop():
    """What is not transient is raised, and the transaction aborted."""
    rig = Rig()
    rig.network.answers.append(refusal(121, "DocumentValidationFailure"))
    assert type(rig.error(transferring(rig))) is OperationFailure
    assert rig.network.names == ["update", "abortTransaction"]


def test_reads_in_a_transaction_go_to_the_primary():
    """Any other read preference of the transaction is refused."""
    rig = Rig("readPreference=secondary")

    async def calls():
        async with rig.client.start_session() as session:
            await session.start_transaction()
            await rig.orders.find_one({}, session=session)

    error = rig.error(calls())
    assert type(error) is InvalidOperation
    assert "read preference in a transaction must be primary" in str(error)


# -- bulk writes

MIXED = [
    InsertOne({"_id": 1}),
    UpdateOne({"_id": 1}, {"$set": {"n": 1}}),
    InsertOne({"_id": 2}),
    DeleteOne({"_id": 1}),
    InsertOne({"_id": 3}),
]


def test_ordered_requests_are_grouped_while_their_kind_stays():
    """Unordered ones are grouped by kind altogether."""
    rig = Rig()
    rig.run(rig.orders.bulk_write(MIXED))
    assert rig.network.names == ["insert", "update", "insert", "delete", "insert"]
    rig = Rig()
    rig.run(rig.orders.bulk_write(MIXED, ordered=False))
    assert rig.network.names == ["insert", "update", "delete"]
    assert [document["_id"] for document in rig.network.commands[0]["documents"]] == [1, 2, 3]


def test_an_ordered_bulk_stops_at_its_first_error():
    """The error names the place of the request, and what was done before is counted."""
    rig = Rig()
    dup = {"index": 0, "code": 11000, "errmsg": "dup"}
    rig.network.answers.extend([{"n": 1, "ok": 1.0}, {"n": 1, "nModified": 1, "ok": 1.0}])
    rig.network.answers.append({"n": 0, "ok": 1.0, "writeErrors": [dup]})
    error = rig.error(rig.orders.bulk_write(MIXED))
    assert type(error) is BulkWriteError
    assert [(each["index"], each["op"]) for each in error.details["writeErrors"]] == [(2, {"_id": 2})]
    assert (error.details["nInserted"], error.details["nModified"]) == (1, 1)
    assert rig.network.names == ["insert", "update", "insert"]


def test_an_unordered_bulk_goes_on():
    """All errors are told, in the order of the requests."""
    rig = Rig()
    dup = {"code": 11000, "errmsg": "dup"}
    rig.network.answers.append({"n": 1, "ok": 1.0, "writeErrors": [{"index": 2, **dup}, {"index": 1, **dup}]})
    error = rig.error(rig.orders.bulk_write(MIXED, ordered=False))
    assert [each["index"] for each in error.details["writeErrors"]] == [2, 4]
    assert rig.network.names == ["insert", "update", "delete"]


def test_upserts_are_told_by_the_place_of_their_request():
    """And do not count as matched."""
    rig = Rig()
    rig.network.answers.extend(
        [{"n": 1, "ok": 1.0}, {"n": 2, "nModified": 1, "upserted": [{"index": 1, "_id": 9}], "ok": 1.0}]
    )
    requests = [InsertOne({"_id": 1}), *[UpdateOne({"_id": i}, {"$set": {"n": 1}}, upsert=True) for i in (1, 9)]]
    result = rig.run(rig.orders.bulk_write(requests))
    assert result.upserted_ids == {2: 9}
    assert (result.matched_count, result.modified_count) == (1, 1)


# -- change streams


def batch(*numbers, token=None, cursor=7, first=False):
    """Return a batch of changes."""
    changes = [{"_id": {"_data": str(number)}, "n": number} for number in numbers]
    document = {"id": cursor, "ns": "shop.orders", "firstBatch" if first else "nextBatch": changes}
    if token is not None:
        document["postBatchResumeToken"] = {"_data": str(token)}
    return {"cursor": document, "ok": 1.0, **at(1)}


def stage(command):
    """Return what a stream's command asks for."""
    return command["pipeline"][0]["$changeStream"]


@pytest.mark.parametrize(
    "troubles",
    [
        pytest.param([failure("reset")], id="a broken connection"),
        pytest.param([refusal(43)], id="a lost cursor"),
        pytest.param([refusal(11602)], id="a member that is not primary any more"),
        pytest.param([refusal(262, "ExceededTimeLimit", "ResumableChangeStreamError"), OK], id="a label"),
    ],
)
def test_a_stream_goes_on_after_a_resumable_error(troubles):
    """It is opened again after the last change that was handed out."""
    rig = Rig()
    rig.network.answers.extend([batch(first=True), batch(1, 2), *troubles, batch(first=True), batch(3)])

    async def calls():
        stream = await rig.orders.watch()
        numbers = [(await stream.next())["n"] for _ in range(3)]
        return numbers, stream.resume_token

    assert rig.run(calls()) == ([1, 2, 3], {"_data": "3"})
    opened = [command for command in rig.network.commands if "aggregate" in command]
    assert [stage(command) for command in opened] == [{}, {"resumeAfter": {"_data": "2"}}]


def test_a_stream_ends_with_an_error_that_is_not_resumable():
    """It is closed, and says so."""
    rig = Rig()
    rig.network.answers.extend([batch(first=True), refusal(280, "ChangeStreamFatalError")])

    async def calls():
        stream = await rig.orders.watch()
        with pytest.raises(OperationFailure):
            await stream.try_next()
        return stream.alive

    assert rig.run(calls()) is False
    assert rig.network.names == ["aggregate", "getMore", "killCursors"]


def test_an_empty_batch_moves_the_token_on():
    """A stream without changes does not fall behind the oplog."""
    rig = Rig()
    rig.network.answers.extend([batch(first=True, token=5), batch(token=6), batch(7, 8, token=9)])

    async def calls():
        stream = await rig.orders.watch()
        tokens = [stream.resume_token]
        for _ in range(3):
            await stream.try_next()
            tokens.append(stream.resume_token)
        return [token["_data"] for token in tokens]

    assert rig.run(calls()) == ["5", "6", "7", "9"]


def test_sessions_options_are_checked():
    """A snapshot is not causal, and default options are of their type."""
    client = Rig().client
    with pytest.raises(ConfigurationError):
        client.start_session(causal_consistency=True, snapshot=True)
    with pytest.raises(TypeError):
        client.start_session(default_transaction_options=5)
