"""What the record says of operations on a real server: every attempt, retries and lost replies, death, cancellation."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid

import pytest
from bson import ObjectId
from pymongo import WriteConcern
from pymongo.errors import AutoReconnect, NotPrimaryError, WTimeoutError
from single_member_set import MEMBER, admin_client, single_member_set

from harness.backends.driver import (
    CancelFlag,
    Cancelled,
    ClientDied,
    Recorder,
    ThreadEnv,
    failure_of,
    open_client,
    run_coroutine,
)
from harness.clock import RunClock
from harness.journal import plain
from harness.seed import stream
from harness.settings import Settings, parse_settings
from harness.status import classify

pytestmark = [pytest.mark.mongod, pytest.mark.slow]


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    """Start one set for the tests of this file."""
    with single_member_set(tmp_path_factory.mktemp("record")) as connection:
        yield connection


class _Process:
    """One client process, its application name its own, so that failpoints strike it alone."""

    def __init__(self, connection, settings=None):
        self.name = f"test-{uuid.uuid4().hex}"
        self.clock = RunClock.start()
        self.cancel = CancelFlag()
        self.recorder = Recorder(self.clock, self.cancel, connection.members)
        self.env = ThreadEnv(self.cancel, stream(1), 0, self.recorder)
        self.client = open_client(
            connection, settings or Settings(), application_name=self.name, recorder=self.recorder
        )
        self.database = self.client[self.name]
        self.orders = self.database["orders"]

    def perform(self, coroutine):
        """Run an operation; return its outcome, what it raised, and its calls."""
        self.recorder.begin()
        outcome, error = "returned", None
        try:
            run_coroutine(coroutine)
        except ClientDied as death:
            outcome, error = "crashed", death
        except Cancelled as cancelled:
            outcome, error = "unfinished", cancelled
        except Exception as raised:  # noqa: BLE001 - the test looks at it
            outcome, error = "raised", raised
        finally:
            self.env.close()
            calls = self.recorder.end()
        return outcome, error, calls


@pytest.fixture
def process(connection):
    """Open a client process."""
    process = _Process(connection)
    yield process
    process.client.close_now()


@pytest.fixture
def plain_orders(connection, process):
    """Open the same collection through PyMongo itself, created."""
    with admin_client(connection.seeds[0]) as client:
        client[process.name].create_collection("orders")
        yield client[process.name]["orders"]


@pytest.fixture
def failpoint(connection, process):
    """Return a function that turns a failpoint on for this process alone; all are turned off in the end."""
    with admin_client(connection.seeds[0]) as client:
        used = []

        def turn_on(name, mode, **data):
            used.append(name)
            data = {"appName": process.name, **data} if name == "failCommand" else data
            client.admin.command("configureFailPoint", name, mode=mode, data=data)

        yield turn_on
        for name in used:
            client.admin.command("configureFailPoint", name, mode="off")


def _names(calls):
    return [(call.name, call.error, [attempt.command for attempt in call.attempts]) for call in calls]


def test_each_call_with_its_command_and_reply(process):
    """A call is recorded under collection and method with the full command and reply, on the member it was sent to."""

    async def operate():
        await process.orders.insert_one({"_id": 1, "n": 0})
        await process.orders.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}})
        await process.orders.find({}).to_list()

    before_ns = process.clock.now_ns()
    outcome, _, calls = process.perform(operate())
    after_ns = process.clock.now_ns()
    assert outcome == "returned"
    assert [name for name, _, _ in _names(calls)] == ["orders.insert_one", "orders.find_one_and_update", "orders.find"]
    insert = calls[0].attempts[0]
    assert insert.request["documents"] == [{"_id": 1, "n": 0}]
    assert insert.request["$db"] == process.name
    assert len(bytes.fromhex(insert.request["lsid"])) == 16
    assert "$clusterTime" not in insert.request
    assert insert.server == MEMBER
    assert insert.reply["n"] == 1
    assert "$timestamp" in insert.reply["operationTime"]
    assert "$clusterTime" not in insert.reply
    times = [before_ns, *(t for call in calls for t in (call.start_ns, call.attempts[0].start_ns)), after_ns]
    assert times == sorted(times)
    assert calls[0].start_ns < insert.start_ns < insert.end_ns < calls[0].end_ns
    assert plain(calls) == plain(plain(calls))


def test_record_does_not_change_with_the_documents(process):
    """What was sent and received stays as it was, even where the pattern changes its documents afterwards."""

    async def operate():
        order = {"_id": ObjectId(), "tags": ["new"]}
        await process.orders.insert_one(order)
        order["tags"].append("changed")
        found = await process.orders.find_one({})
        found["tags"].clear()

    _, _, calls = process.perform(operate())
    assert calls[0].attempts[0].request["documents"][0]["tags"] == ["new"]
    assert calls[1].attempts[0].reply["cursor"]["firstBatch"][0]["tags"] == ["new"]


def test_effective_concerns_are_on_record(connection):
    """Write and read concern and read preference are recorded as they went over the wire."""
    text = "w=majority,j=true,wtimeoutMS=900,readConcernLevel=majority,readPreference=nearest"
    process = _Process(connection, parse_settings(text))

    async def operate():
        await process.orders.insert_one({"_id": 1})
        await process.orders.find_one({})

    try:
        _, _, calls = process.perform(operate())
    finally:
        process.client.close_now()
    assert calls[0].attempts[0].request["writeConcern"] == {"w": "majority", "j": True, "wtimeout": 900}
    assert calls[1].attempts[0].request["readConcern"] == {"level": "majority"}
    assert calls[1].attempts[0].request["$readPreference"] == {"mode": "nearest"}


def test_retry_is_an_attempt_of_its_own(process, plain_orders, failpoint):
    """An insert whose connection breaks is sent again by the driver: two attempts, the first without an answer."""
    failpoint("failCommand", {"times": 1}, failCommands=["insert"], closeConnection=True)
    outcome, _, calls = process.perform(process.orders.insert_one({"_id": 1}))
    assert outcome == "returned"
    first, second = calls[0].attempts
    assert (first.reply, first.failure.answered, first.failure.types[0]) == (None, False, "AutoReconnect")
    assert (second.reply["n"], second.failure) == (1, None)
    assert first.request["txnNumber"] == second.request["txnNumber"]
    assert classify(calls, "returned") == "ok"
    assert plain_orders.count_documents({}) == 1


def test_lost_reply_and_refused_retry_is_info(process, plain_orders, failpoint):
    """An insert that was applied, its reply lost, its retry refused with 10107: the error lies, the record does not."""
    failpoint("onPrimaryTransactionalWrite", {"times": 1})
    failpoint("failCommand", {"skip": 1}, failCommands=["insert"], errorCode=10107)
    outcome, error, calls = process.perform(process.orders.insert_one({"_id": 1}))
    assert outcome == "raised"
    assert isinstance(error, NotPrimaryError)
    assert [attempt.failure.answered for attempt in calls[0].attempts] == [False, True]
    assert calls[0].attempts[1].failure.code == 10107
    assert classify(calls, outcome) == "info"
    assert plain_orders.count_documents({}) == 1


def test_refused_attempts_are_fail(process, plain_orders, failpoint):
    """An insert that was refused twice, each time with an answer, is proved to have had no effect."""
    failpoint("failCommand", {"times": 2}, failCommands=["insert"], errorCode=10107)
    outcome, error, calls = process.perform(process.orders.insert_one({"_id": 1}))
    assert isinstance(error, NotPrimaryError)
    assert len(calls[0].attempts) == 2
    assert failure_of(error).answered
    assert classify(calls, outcome) == "fail"
    assert plain_orders.count_documents({}) == 0


def test_lost_reply_without_retries_is_info(connection, plain_orders, process, failpoint):
    """With retries off a broken connection reaches the caller, and nothing is proved."""
    process.client.close_now()
    process.client = open_client(
        connection, parse_settings("retry=none"), application_name=process.name, recorder=process.recorder
    )
    failpoint("failCommand", {"times": 1}, failCommands=["insert"], closeConnection=True)
    outcome, error, calls = process.perform(process.client[process.name]["orders"].insert_one({"_id": 1}))
    assert isinstance(error, AutoReconnect)
    assert not failure_of(error).answered
    assert len(calls[0].attempts) == 1
    assert classify(calls, outcome) == "info"


def test_write_concern_error_is_info(process, plain_orders, failpoint):
    """A write that is applied and then meets a writeConcernError keeps it in its reply and is info."""
    concern_error = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waited", "errInfo": {"wtimeout": True}}
    failpoint("failCommand", {"times": 1}, failCommands=["insert"], writeConcernError=concern_error)
    outcome, error, calls = process.perform(process.orders.insert_one({"_id": 1}))
    assert isinstance(error, WTimeoutError)
    assert calls[0].attempts[0].reply["writeConcernError"]["code"] == 64
    assert classify(calls, outcome) == "info"
    assert plain_orders.count_documents({}) == 1


def test_commit_with_a_write_concern_error_is_info(process, plain_orders, failpoint):
    """PyMongo reports a commit's writeConcernError as the failure of the command: the record says what it is."""
    concern_error = {"code": 100, "codeName": "UnsatisfiableWriteConcern", "errmsg": "never"}
    failpoint("failCommand", {"times": 1}, failCommands=["commitTransaction"], writeConcernError=concern_error)

    async def operate():
        async with process.client.start_session() as session, await session.start_transaction():
            await process.orders.insert_one({"_id": 1}, session=session)

    outcome, _, calls = process.perform(operate())
    assert [name for name, _, _ in _names(calls)] == ["orders.insert_one", "session.commit_transaction"]
    failure = calls[1].attempts[0].failure
    assert failure.reply["writeConcernError"]["code"] == 100
    assert (outcome, classify(calls, outcome)) == ("raised", "info")
    assert plain_orders.count_documents({}) == 1


def test_transaction_is_recorded_statement_by_statement(process, plain_orders):
    """A transaction that conflicts, is aborted and succeeds at its second try leaves each step in order."""
    plain_orders.insert_one({"_id": 1, "n": 0})
    tries = []

    async def increment(session):
        tries.append(await process.orders.find_one({"_id": 1}, session=session))
        if len(tries) == 1:
            plain_orders.update_one({"_id": 1}, {"$set": {"n": 10}})
        await process.orders.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)

    async def operate():
        async with process.client.start_session() as session:
            await session.with_transaction(increment)

    _, _, calls = process.perform(operate())
    assert _names(calls) == [
        ("orders.find_one", "", ["find"]),
        ("orders.update_one", "OperationFailure", ["update"]),
        ("session.abort_transaction", "", ["abortTransaction"]),
        ("orders.find_one", "", ["find"]),
        ("orders.update_one", "", ["update"]),
        ("session.commit_transaction", "", ["commitTransaction"]),
    ]
    assert calls[1].attempts[0].failure.labels == ("TransientTransactionError",)
    assert calls[0].attempts[0].transaction != calls[3].attempts[0].transaction


def test_rejected_transaction_is_fail(process, plain_orders):
    """Statements of a transaction that was given up before any commit count as not applied."""

    async def body(session):
        await process.orders.insert_one({"_id": 1}, session=session)
        raise KeyError

    async def operate():
        async with process.client.start_session() as session:
            await session.with_transaction(body)

    outcome, _, calls = process.perform(operate())
    assert (outcome, classify(calls, outcome)) == ("raised", "fail")
    assert plain_orders.count_documents({}) == 0


def test_unknown_commit_is_retried_by_pymongos_loop(process, plain_orders, failpoint):
    """A commit that breaks its connection is repeated until it is known; each attempt is on record."""
    failpoint("failCommand", {"times": 3}, failCommands=["commitTransaction"], closeConnection=True)

    async def body(session):
        await process.orders.insert_one({"_id": 1}, session=session)

    async def operate():
        async with process.client.start_session() as session:
            await session.with_transaction(body)

    outcome, _, calls = process.perform(operate())
    commits = [attempt for call in calls for attempt in call.attempts if attempt.command == "commitTransaction"]
    assert outcome == "returned"
    assert [commit.failure is None for commit in commits] == [False, False, False, True]
    assert [call.name for call in calls].count("orders.insert_one") == 1


def test_commit_loop_is_cancelled(process, plain_orders, failpoint):
    """A transaction whose commit stays unknown does not go on for PyMongo's two minutes once the client must end."""
    failpoint("failCommand", "alwaysOn", failCommands=["commitTransaction"], closeConnection=True)

    async def body(session):
        await process.orders.insert_one({"_id": 1}, session=session)
        threading.Timer(0.2, process.cancel.set).start()

    async def operate():
        async with process.client.start_session() as session:
            await session.with_transaction(body)

    began = time.monotonic()
    outcome, _, _ = process.perform(operate())
    assert outcome == "unfinished"
    assert time.monotonic() - began < 10


def test_unacknowledged_write_has_no_answer(process, plain_orders):
    """Of a w:0 write only the request is recorded, and an operation that returned is info."""
    outcome, _, calls = process.perform(
        process.orders.with_options(write_concern=WriteConcern(w=0)).insert_one({"_id": 1})
    )
    attempt = calls[0].attempts[0]
    assert (attempt.reply, attempt.failure) == (None, None)
    assert attempt.request["writeConcern"] == {"w": 0}
    assert classify(calls, outcome) == "info"


def test_cursor_replies_belong_to_the_call_that_made_it(process, plain_orders):
    """The batches of a cursor are calls under the name of the find or aggregate; documents from memory are none."""
    plain_orders.insert_many([{"_id": number} for number in range(5)])

    async def operate():
        async for _ in process.orders.find({}, batch_size=2):
            pass
        async for _ in await process.orders.aggregate([{"$match": {}}], batchSize=3):
            pass

    _, _, calls = process.perform(operate())
    commands = [(name, commands) for name, _, commands in _names(calls)]
    assert commands == [
        ("orders.find", ["find"]),
        ("orders.find", ["getMore"]),
        ("orders.find", ["getMore"]),
        ("orders.aggregate", ["aggregate"]),
        ("orders.aggregate", ["getMore"]),
    ]


def test_child_tasks_are_recorded_into_the_operation(process, plain_orders):
    """Calls of child tasks, which run on threads of their own, belong to the operation that started them."""

    async def child(number):
        await process.orders.insert_one({"_id": number})
        return number

    async def operate():
        task = process.env.start_task(child(1))
        numbers = await process.env.gather(child(2), child(3))
        assert (await task.join(), numbers) == (1, [2, 3])

    outcome, error, calls = process.perform(operate())
    assert (outcome, error) == ("returned", None)
    assert sorted(call.attempts[0].request["documents"][0]["_id"] for call in calls) == [1, 2, 3]


def test_calls_outside_an_operation_are_not_recorded(process, plain_orders):
    """What a client does between two operations works and leaves no trace."""
    run_coroutine(process.orders.insert_one({"_id": 1}))
    _, _, calls = process.perform(process.orders.find_one({}))
    assert [name for name, _, _ in _names(calls)] == ["orders.find_one"]


def test_crash_between_two_calls(process, plain_orders):
    """A client dies after a call completed: it never sees the result, and its cleanup reaches no database."""

    async def operate():
        try:
            await process.orders.insert_one({"_id": 1})
            await process.orders.insert_one({"_id": 2})
        finally:
            with contextlib.suppress(Exception):
                await process.env.sleep(0)
            await process.orders.insert_one({"_id": 3})

    process.recorder.arm_crash()
    outcome, _, calls = process.perform(operate())
    assert (outcome, classify(calls, outcome)) == ("crashed", "info")
    assert _names(calls) == [("orders.insert_one", "", ["insert"])]
    assert [row["_id"] for row in plain_orders.find()] == [1]
    assert process.perform(process.orders.insert_one({"_id": 4}))[0] == "returned"


def test_crash_inside_a_transaction_leaves_it_open(process, plain_orders):
    """A dead client neither commits nor aborts: its transaction stays with the server, which ends it."""

    async def body(session):
        await process.orders.insert_one({"_id": 1}, session=session)

    async def operate():
        async with process.client.start_session() as session:
            await session.with_transaction(body)

    process.recorder.arm_crash()
    outcome, _, calls = process.perform(operate())
    assert (outcome, classify(calls, outcome)) == ("crashed", "fail")
    assert [name for name, _, _ in _names(calls)] == ["orders.insert_one"]


def test_crash_ends_child_tasks(process, plain_orders):
    """Where one task of a client dies, all do, those that sleep included."""

    async def insert():
        await process.orders.insert_one({"_id": 1})

    async def sleep():
        await process.env.sleep(60)

    async def operate():
        await process.env.gather(sleep(), insert())

    process.recorder.arm_crash()
    began = time.monotonic()
    assert process.perform(operate())[0] == "crashed"
    assert time.monotonic() - began < 10


def test_cancellation_reaches_a_pattern_between_two_calls(process, plain_orders):
    """A client that was told to end makes no further call but those that give back what the server holds."""

    async def operate():
        async with process.client.start_session() as session, await session.start_transaction():
            await process.orders.insert_one({"_id": 1}, session=session)
            process.cancel.set()
            await process.orders.insert_one({"_id": 2}, session=session)

    outcome, _, calls = process.perform(operate())
    assert outcome == "unfinished"
    assert [name for name, _, _ in _names(calls)] == ["orders.insert_one", "session.abort_transaction"]
    assert plain_orders.count_documents({}) == 0
