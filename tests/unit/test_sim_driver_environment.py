"""A simulated client process: its clock, its child tasks, its record, its death and its cancellation."""

from __future__ import annotations

import datetime

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect, InvalidOperation
from scripted_network import Rig, failure, refusal

from harness.errors import BackendError, ScenarioError
from harness.interfaces.environment import Env
from harness.sim.driver import ClientDied, SimEnv
from harness.sim.kernel.loop import TaskCancelled


def test_time_is_virtual_and_skewed():
    """The clock of a pattern is the kernel's plus the client's skew, in whole milliseconds."""
    rig = Rig()
    env: Env = SimEnv(rig.kernel, rig.recorder, rig.random, rig.object_ids, skew_ms=-250)

    async def calls():
        before = env.now()
        await env.sleep(1.5)
        return before, env.now()

    before, after = rig.run(calls())
    assert after - before == datetime.timedelta(seconds=1.5)
    start = datetime.datetime.fromtimestamp(rig.origin_us / 1e6, datetime.UTC)
    assert before == start - datetime.timedelta(milliseconds=250)
    assert rig.elapsed_us == 1_500_000


def test_everything_drawn_is_the_same_under_the_same_seed():
    """Object ids, session ids and connection numbers repeat with the seed, and differ between clients."""

    def drawn(seed):
        rig = Rig(seed=seed)

        async def calls():
            document = {"n": 1}
            await rig.orders.insert_one(document)
            return document["_id"], rig.env.object_id()

        return *rig.run(calls()), rig.network.commands[0]["lsid"]["id"].hex()

    assert drawn(1) == drawn(1)
    assert not set(drawn(1)) & set(drawn(2))
    first, second, _ = drawn(1)
    assert first != second
    assert isinstance(first, ObjectId)
    assert first.generation_time == datetime.datetime.fromtimestamp(1_700_000_000, datetime.UTC)


def test_child_tasks_run_side_by_side():
    """Gather returns results in order, and raises the first exception after all have ended."""
    rig = Rig()
    ended = []

    async def child(seconds, error=None):
        await rig.env.sleep(seconds)
        ended.append(seconds)
        if error is not None:
            raise error
        return seconds

    async def calls():
        assert await rig.env.gather(child(3), child(1), child(2)) == [3, 1, 2]
        with pytest.raises(KeyError):
            await rig.env.gather(child(2, KeyError()), child(1, ValueError()), child(3))

    rig.run(calls())
    assert rig.elapsed_us == 6_000_000
    assert ended == [1, 2, 3, 1, 2, 3]


def test_a_cancelled_child_ends_where_it_sleeps():
    """Cancelling wakes a sleeper at once; its join returns None."""
    rig = Rig()

    async def child():
        await rig.env.sleep(100)
        raise AssertionError

    async def calls():
        task = rig.env.start_task(child())
        await rig.env.sleep(1)
        task.cancel()
        return await task.join()

    assert rig.run(calls()) is None
    assert rig.elapsed_us == 1_000_000


def test_a_cancelled_child_ends_its_own_children():
    """What a task is told, those it started are told too."""
    rig = Rig()
    seen = []

    async def grandchild():
        try:
            await rig.env.sleep(100)
        except TaskCancelled:
            seen.append(rig.elapsed_us)
            raise

    async def child():
        await rig.env.start_task(grandchild()).join()

    async def calls():
        task = rig.env.start_task(child())
        await rig.env.sleep(1)
        task.cancel()
        await task.join()
        await rig.env.sleep(1)
        await rig.env.close()

    rig.run(calls())
    assert seen == [1_000_000]


def test_a_cancelled_child_finishes_the_command_under_way():
    """A command is not torn in the middle: the child ends at its next database call."""
    rig = Rig()
    done = []

    async def child():
        await rig.orders.insert_one({"_id": 1})
        done.append(1)
        await rig.orders.insert_one({"_id": 2})

    async def calls():
        rig.recorder.begin()
        task = rig.env.start_task(child())
        rig.network.answers.append(failure("timeout"))
        await rig.env.sleep(0.001)
        task.cancel()
        await task.join()

    rig.network.default = {"n": 1, "ok": 1.0}
    rig.run(calls())
    assert done == [1]
    assert rig.network.names == ["insert", "insert"]


def test_closing_ends_what_is_left():
    """Child tasks that nobody joined end with the operation; one that never ends is told."""
    rig = Rig()

    async def endless():
        while True:
            await rig.kernel.sleep(1_000_000)

    async def sleeping():
        await rig.env.sleep(1000)

    async def calls():
        rig.env.start_task(sleeping())
        await rig.env.sleep(1)
        await rig.env.close()
        rig.env.start_task(endless())
        await rig.env.close()

    error = rig.error(calls())
    rig.kernel.close()
    assert isinstance(error, BackendError)
    assert "endless" in str(error)
    assert 31_000_000 <= rig.elapsed_us < 32_000_000


def test_an_error_of_the_harness_in_a_child_is_not_lost():
    """A child that awaits something foreign is told even where nobody joins it."""
    rig = Rig()

    async def child():
        raise ScenarioError("broken")

    async def calls():
        rig.env.start_task(child())
        await rig.env.sleep(1)
        await rig.env.close()

    assert isinstance(rig.error(calls()), ScenarioError)


def test_children_are_named_after_their_parent():
    """A choice is made in the operation of the parent, under a name that repeats."""
    rig = Rig()

    async def child():
        return rig.kernel.current.name, rig.kernel.current.operation

    async def calls():
        rig.kernel.current.enter("1.7")
        first = await rig.env.gather(child(), child())
        await rig.env.close()
        return first, await rig.env.gather(child())

    first, second = rig.run(calls())
    assert first == [("client 1.1", "1.7"), ("client 1.2", "1.7")]
    assert second == [("client 1.1", "1.7")]


# -- the record


def recorded(rig, body):
    """Perform an operation; return what it raised, and its calls."""
    rig.recorder.begin()
    error = None

    async def caught():
        nonlocal error
        try:
            await body
        except BaseException as raised:  # noqa: BLE001 - whatever it is, the test looks at it
            error = raised

    rig.run(caught())
    return error, rig.recorder.end()


def test_an_attempt_that_was_not_answered_is_in_the_record():
    """A repetition is an attempt of its own; what broke says that there was no answer."""
    rig = Rig()
    rig.network.answers.append(failure("reset"))
    _, (call,) = recorded(rig, rig.orders.update_one({"_id": ObjectId("0" * 24)}, {"$inc": {"n": 1}}))
    first, second = call.attempts
    assert (call.name, call.error) == ("orders.update_one", "")
    assert (first.command, first.server, first.reply) == ("update", "m1", None)
    assert first.failure.types == ("AutoReconnect", "ConnectionFailure", "PyMongoError")
    assert not first.failure.answered
    assert second.failure is None
    assert second.reply == {"n": 1, "nModified": 1, "ok": 1.0}
    assert first.request == second.request
    assert first.request["updates"][0]["q"] == {"_id": {"$oid": "0" * 24}}
    assert first.request["txnNumber"] == 1
    assert len(first.request["lsid"]) == 32
    assert call.start_ns == first.start_ns < first.end_ns < second.start_ns < second.end_ns == call.end_ns


def test_a_refused_connection_is_no_attempt():
    """Where no connection could be made nothing was sent, and the record does not say otherwise."""
    rig = Rig("retry=none")
    rig.network.answers.append(failure("refused"))
    error, (call,) = recorded(rig, rig.orders.insert_one({"_id": 1}))
    assert type(error) is AutoReconnect
    assert (call.attempts, call.error) == ((), "AutoReconnect")


def test_a_refusal_is_recorded_as_an_answer():
    """A server's error document is a reply."""
    rig = Rig()
    rig.network.answers.append(refusal(66, "ImmutableField"))
    _, (call,) = recorded(rig, rig.orders.find_one_and_update({}, {"$set": {"_id": 2}}))
    assert call.error == "OperationFailure"
    assert call.attempts[0].failure.answered
    assert call.attempts[0].failure.code == 66
    assert call.attempts[0].failure.reply["codeName"] == "ImmutableField"


def test_an_unacknowledged_write_has_neither_reply_nor_failure():
    """What PyMongo makes up in place of a reply is not recorded."""
    rig = Rig("w=0")
    _, (call,) = recorded(rig, rig.orders.insert_one({"_id": 1}))
    rig.kernel.close()
    (attempt,) = call.attempts
    assert (attempt.reply, attempt.failure) == (None, None)
    assert attempt.request["writeConcern"] == {"w": 0}


def test_a_cursor_records_the_batches_that_it_fetches():
    """Documents from memory are no calls, and neither is the end of a cursor."""
    rig = Rig()
    first = {"cursor": {"id": 7, "ns": "shop.orders", "firstBatch": [{"_id": 1}, {"_id": 2}]}, "ok": 1.0}
    last = {"cursor": {"id": 0, "ns": "shop.orders", "nextBatch": [{"_id": 3}]}, "ok": 1.0}
    rig.network.answers.extend([first, last])

    async def calls():
        return [document["_id"] async for document in rig.orders.find({}, batch_size=2)]

    _, made = recorded(rig, calls())
    assert [(call.name, [each.command for each in call.attempts]) for call in made] == [
        ("orders.find", ["find"]),
        ("orders.find", ["getMore"]),
    ]
    assert {call.error for call in made} == {""}


def test_a_pattern_cannot_change_the_record():
    """Documents that were sent or received may be changed: the record keeps what went over the wire."""
    rig = Rig()
    stored = {"_id": 1, "tags": ["a"], "at": {"n": 1}}
    rig.network.default = {"cursor": {"id": 0, "ns": "shop.orders", "firstBatch": [stored]}, "ok": 1.0, "n": 1}

    async def calls():
        document = {"_id": 1, "tags": ["a"]}
        await rig.orders.insert_one(document)
        document["tags"].append("changed")
        found = await rig.orders.find_one({})
        found["tags"].append("changed")
        found["at"]["n"] = 2

    _, (insert, find) = recorded(rig, calls())
    assert insert.attempts[0].request["documents"] == [{"_id": 1, "tags": ["a"]}]
    assert find.attempts[0].reply["cursor"]["firstBatch"] == [{"_id": 1, "tags": ["a"], "at": {"n": 1}}]
    assert stored == {"_id": 1, "tags": ["a"], "at": {"n": 1}}


def test_a_client_dies_in_place_of_its_next_result():
    """The call is made, its result never seen, and nothing more of the operation reaches the database."""
    rig = Rig()
    seen = []

    async def calls():
        rig.recorder.arm_crash()
        try:
            await rig.orders.insert_one({"_id": 1})
            seen.append("result")
        finally:
            await rig.orders.delete_one({"_id": 1})

    error, made = recorded(rig, calls())
    assert isinstance(error, ClientDied)
    assert seen == []
    assert rig.network.names == ["insert"]
    assert len(made) == 1

    error, made = recorded(rig, rig.orders.find_one({}))
    assert error is None
    assert len(made) == 1


def test_a_death_strikes_the_sleeping_children_too():
    """When a client dies in one task, its other tasks end where they sleep."""
    rig = Rig()

    async def sleeper():
        await rig.env.sleep(1000)

    async def caller():
        await rig.env.sleep(1)
        rig.recorder.arm_crash()
        await rig.orders.find_one({})

    error, _ = recorded(rig, rig.env.gather(sleeper(), caller()))
    assert isinstance(error, ClientDied)
    assert rig.elapsed_us < 2_000_000


def test_a_client_that_is_told_to_end_does_so_at_its_next_call():
    """Cancellation is looked at before every database call and wakes sleepers; what gives back is still done."""
    rig = Rig()

    async def calls():
        async with rig.client.start_session() as session:
            await session.start_transaction()
            await rig.orders.insert_one({"_id": 1}, session=session)
            rig.recorder.cancellation.ask_all()
            await rig.orders.insert_one({"_id": 2}, session=session)

    error, _ = recorded(rig, calls())
    assert isinstance(error, TaskCancelled)
    assert rig.network.names == ["insert", "abortTransaction"]


def test_a_client_that_is_told_to_end_wakes_up():
    """It does not sleep on, in no task of it."""
    rig = Rig()
    rig.kernel.call_at(rig.kernel.now_us + 1_000_000, "end", rig.recorder.cancellation.ask_all)
    error, _ = recorded(rig, rig.env.gather(rig.env.sleep(1000), rig.env.sleep(2000)))
    assert isinstance(error, TaskCancelled)
    assert rig.elapsed_us == 1_000_000


def test_a_closed_client_is_of_no_use():
    """After close every call raises InvalidOperation; close tells the server which sessions ended."""
    rig = Rig()

    async def calls():
        async with rig.client:
            await rig.orders.find_one({})
        await rig.orders.find_one({})

    assert type(rig.error(calls())) is InvalidOperation
    assert rig.network.names == ["find", "endSessions"]
    rig.client.close_now()
