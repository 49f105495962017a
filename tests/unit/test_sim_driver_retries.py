"""What the driver model repeats, with which number, and which error it raises in the end."""

from __future__ import annotations

import pytest
from pymongo import DeleteMany, DeleteOne, InsertOne, UpdateMany, UpdateOne, WriteConcern
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    CursorNotFound,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    WriteConcernError,
    WriteError,
    WTimeoutError,
)
from scripted_network import OK, Rig, failure, refusal

LABEL = "RetryableWriteError"
NOT_PRIMARY = refusal(10107, "NotWritablePrimary", LABEL)
NO_WRITES = refusal(91, "ShutdownInProgress", LABEL, "NoWritesPerformed")

WRITES = {
    "insert_one": lambda orders: orders.insert_one({"_id": 1}),
    "insert_many": lambda orders: orders.insert_many([{"_id": 1}, {"_id": 2}]),
    "update_one": lambda orders: orders.update_one({"_id": 1}, {"$inc": {"n": 1}}),
    "replace_one": lambda orders: orders.replace_one({"_id": 1}, {"n": 1}),
    "delete_one": lambda orders: orders.delete_one({"_id": 1}),
    "find_one_and_update": lambda orders: orders.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}}),
    "find_one_and_replace": lambda orders: orders.find_one_and_replace({"_id": 1}, {"n": 1}),
    "find_one_and_delete": lambda orders: orders.find_one_and_delete({"_id": 1}),
    "bulk_write": lambda orders: orders.bulk_write([UpdateOne({"_id": 1}, {"$inc": {"n": 1}})]),
}
UNREPEATED = {
    "update_many": lambda orders: orders.update_many({}, {"$inc": {"n": 1}}),
    "delete_many": lambda orders: orders.delete_many({}),
    "bulk_write with UpdateMany": lambda orders: orders.bulk_write([UpdateMany({}, {"$inc": {"n": 1}})]),
    "bulk_write with DeleteMany": lambda orders: orders.bulk_write([DeleteMany({}), InsertOne({"_id": 1})]),
    "create_index": lambda orders: orders.create_index("n"),
    "drop": lambda orders: orders.drop(),
    "aggregate with $out": lambda orders: orders.aggregate([{"$out": "copies"}]),
}
READS = {
    "find_one": lambda orders: orders.find_one({"_id": 1}),
    "find": lambda orders: orders.find({}).to_list(),
    "aggregate": lambda orders: orders.aggregate([]),
    "distinct": lambda orders: orders.distinct("n"),
    "estimated_document_count": lambda orders: orders.estimated_document_count(),
    "list_collection_names": lambda orders: orders.database.list_collections(),
    "watch": lambda orders: orders.watch(),
}


def transaction_numbers(rig):
    """Return the transaction number of each command that was sent."""
    return [command.get("txnNumber") for command in rig.network.commands]


@pytest.mark.parametrize(
    "trouble", [failure("reset"), NOT_PRIMARY, failure("timeout")], ids=["reset", "refusal", "silence"]
)
@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_a_write_is_repeated_once_with_its_number(call, trouble):
    """A retryable write that met a broken connection or a labelled refusal is sent again with the same number."""
    rig = Rig()
    rig.network.answers.append(trouble)
    rig.run(call(rig.orders))
    assert len(rig.network.names) == 2
    assert transaction_numbers(rig) == [1, 1]
    assert rig.network.commands[0]["lsid"] == rig.network.commands[1]["lsid"]


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_a_write_is_not_repeated_twice(call):
    """After the second broken connection its error is raised, with the label that says it might be repeated."""
    rig = Rig()
    rig.network.answers.extend([failure("reset"), failure("reset"), OK])
    error = rig.error(call(rig.orders))
    assert type(error) is AutoReconnect
    assert error.has_error_label(LABEL)
    assert len(rig.network.names) == 2


@pytest.mark.parametrize("settings", ["retry=none", "retryWrites=false"])
@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_a_write_is_not_repeated_without_leave(call, settings):
    """With retries off nothing is repeated, no number is sent, and no label is added."""
    rig = Rig(settings)
    rig.network.answers.append(failure("reset"))
    error = rig.error(call(rig.orders))
    assert type(error) is AutoReconnect
    assert not error.has_error_label(LABEL)
    assert transaction_numbers(rig) == [None]


@pytest.mark.parametrize("call", UNREPEATED.values(), ids=UNREPEATED)
def test_some_writes_are_never_repeated(call):
    """What may write several documents, or defines something, is sent once and has no number."""
    rig = Rig()
    rig.network.answers.append(failure("reset"))
    error = rig.error(call(rig.orders))
    assert type(error) is AutoReconnect
    assert transaction_numbers(rig) == [None]


def test_an_error_without_label_is_not_repeated():
    """The label decides, not the code: a server that sends none is believed."""
    rig = Rig()
    rig.network.answers.append(refusal(10107))
    assert type(rig.error(WRITES["update_one"](rig.orders))) is NotPrimaryError
    assert len(rig.network.names) == 1


def test_an_interrupted_wait_is_repeated():
    """A writeConcernError with the label is a reason to send the write again."""
    rig = Rig()
    concern_error = {"code": 11602, "errmsg": "interrupted"}
    rig.network.answers.append({"n": 1, "ok": 1.0, "writeConcernError": concern_error, "errorLabels": [LABEL]})
    rig.run(WRITES["insert_one"](rig.orders))
    assert transaction_numbers(rig) == [1, 1]


@pytest.mark.parametrize(
    ("first", "second", "raised"),
    [
        pytest.param(failure("reset"), NOT_PRIMARY, NotPrimaryError, id="the last"),
        pytest.param(failure("reset"), NO_WRITES, AutoReconnect, id="the first, since the last wrote nothing"),
        pytest.param(NO_WRITES, failure("reset"), AutoReconnect, id="the last, since the first wrote nothing"),
        pytest.param(NO_WRITES, NO_WRITES, NotPrimaryError, id="either"),
        pytest.param(failure("reset"), refusal(13, "Unauthorized"), OperationFailure, id="one that is no reason"),
    ],
)
def test_which_of_two_errors_is_raised(first, second, raised):
    """An attempt that wrote nothing hides no earlier one that may have written."""
    rig = Rig()
    rig.network.answers.extend([first, second])
    assert type(rig.error(WRITES["update_one"](rig.orders))) is raised


def test_the_first_error_is_raised_where_no_member_is_found_for_the_second():
    """A write that may have been applied does not look as if it was never sent."""
    rig = Rig()

    def vanish(_member, _command):
        rig.network.change({}, {"m1", "m2", "m3"})
        raise failure("reset")

    rig.network.answers.append(vanish)
    error = rig.error(WRITES["update_one"](rig.orders))
    assert type(error) is AutoReconnect
    assert "connection closed" in str(error)


def test_each_call_has_a_number_of_its_own():
    """A call that was given up and one that was repeated do not share a number with the next."""
    rig = Rig()
    rig.network.answers.extend([failure("reset"), failure("reset"), OK, failure("reset"), OK])

    async def calls():
        with pytest.raises(AutoReconnect):
            await rig.orders.insert_one({"_id": 1})
        await rig.orders.insert_one({"_id": 2})
        await rig.orders.insert_one({"_id": 3})

    rig.run(calls())
    sent = [(command["lsid"]["id"], command["txnNumber"]) for command in rig.network.commands]
    assert sent[0] == sent[1]
    assert sent[3] == sent[4]
    assert len(set(sent)) == 3


def test_each_command_of_a_bulk_is_repeated_once():
    """A bulk of three commands survives one failure of each, and goes on where it was."""
    rig = Rig()
    good = {"n": 1, "nModified": 1, "ok": 1.0}
    rig.network.answers.extend([failure("reset"), good, failure("reset"), good, failure("reset"), good])
    requests = [InsertOne({"_id": 1}), UpdateOne({"_id": 1}, {"$set": {"n": 1}}), DeleteOne({"_id": 1})]
    result = rig.run(rig.orders.bulk_write(requests))
    assert rig.network.names == ["insert", "insert", "update", "update", "delete", "delete"]
    assert transaction_numbers(rig) == [1, 1, 2, 2, 3, 3]
    assert (result.inserted_count, result.modified_count, result.deleted_count) == (1, 1, 1)


def test_a_bulk_remembers_its_last_error_that_may_have_written():
    """PyMongo raises it in place of a later one that wrote nothing, although it was an earlier command's."""
    rig = Rig()
    rig.network.answers.extend([failure("reset"), {"n": 1, "ok": 1.0}, NO_WRITES, NO_WRITES])
    requests = [InsertOne({"_id": 1}), UpdateOne({"_id": 1}, {"$set": {"n": 1}})]
    assert type(rig.error(rig.orders.bulk_write(requests))) is AutoReconnect


def test_a_bulk_reports_what_an_interrupted_wait_left():
    """A retryable writeConcernError twice ends a bulk with the counts of the last attempt, once."""
    rig = Rig()
    interrupted = {"n": 2, "ok": 1.0, "writeConcernError": {"code": 91, "errmsg": "x"}, "errorLabels": [LABEL]}
    rig.network.answers.extend([interrupted, interrupted])
    error = rig.error(rig.orders.insert_many([{"_id": 1}, {"_id": 2}]))
    assert type(error) is BulkWriteError
    assert error.details["nInserted"] == 2
    assert len(error.details["writeConcernErrors"]) == 1


@pytest.mark.parametrize("trouble", [failure("reset"), refusal(11602), refusal(134)], ids=["reset", "11602", "134"])
@pytest.mark.parametrize("call", READS.values(), ids=READS)
def test_a_read_is_repeated_once(call, trouble):
    """A read goes on after one failure of the kind that passes, and raises the second."""
    rig = Rig()
    rig.network.answers.append(trouble)
    rig.run(call(rig.orders))
    assert len(rig.network.names) == 2
    rig.network.answers.extend([trouble, trouble])
    rig.error(call(rig.orders))
    assert len(rig.network.names) == 4


@pytest.mark.parametrize("settings", ["retry=none", "retryReads=false"])
@pytest.mark.parametrize("call", READS.values(), ids=READS)
def test_a_read_is_not_repeated_without_leave(call, settings):
    """With retries off a read fails at once."""
    rig = Rig(settings)
    rig.network.answers.append(failure("reset"))
    assert type(rig.error(call(rig.orders))) is AutoReconnect
    assert len(rig.network.names) == 1


def test_a_read_that_is_refused_for_good_is_not_repeated():
    """A code that does not pass is raised at once."""
    rig = Rig()
    rig.network.answers.append(refusal(2, "BadValue"))
    assert type(rig.error(rig.orders.find_one({}))) is OperationFailure
    assert len(rig.network.names) == 1


def test_commands_by_name_are_never_repeated():
    """Whoever runs a command by its name repeats it himself."""
    rig = Rig()
    rig.network.answers.append(failure("reset"))
    assert type(rig.error(rig.client["shop"].command("ping"))) is AutoReconnect
    assert len(rig.network.names) == 1


def test_nothing_is_repeated_inside_a_transaction():
    """A statement that met a broken connection raises with the label that says: begin again."""
    rig = Rig()
    rig.network.answers.append(failure("reset"))

    async def calls():
        async with rig.client.start_session() as session:
            await session.start_transaction()
            await rig.orders.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)

    error = rig.error(calls())
    assert error.has_error_label("TransientTransactionError")
    assert not error.has_error_label(LABEL)
    assert rig.network.names == ["update", "abortTransaction"]


@pytest.mark.parametrize(
    ("reply", "raised", "code"),
    [
        pytest.param(refusal(11000), DuplicateKeyError, 11000, id="top-level duplicate"),
        pytest.param(refusal(50), ExecutionTimeout, 50, id="time-out"),
        pytest.param(refusal(43), CursorNotFound, 43, id="cursor"),
        pytest.param(refusal(66), OperationFailure, 66, id="any other"),
        pytest.param(
            {"ok": 1.0, "n": 0, "writeErrors": [{"index": 0, "code": 11000, "errmsg": "dup"}]},
            DuplicateKeyError,
            11000,
            id="duplicate",
        ),
        pytest.param(
            {"ok": 1.0, "n": 0, "writeErrors": [{"index": 0, "code": 121, "errmsg": "invalid"}]},
            WriteError,
            121,
            id="write error",
        ),
        pytest.param(
            {"ok": 1.0, "n": 1, "writeConcernError": {"code": 64, "errmsg": "w", "errInfo": {"wtimeout": True}}},
            WTimeoutError,
            64,
            id="wtimeout",
        ),
        pytest.param(
            {"ok": 1.0, "n": 1, "writeConcernError": {"code": 100, "errmsg": "w"}},
            WriteConcernError,
            100,
            id="write concern",
        ),
    ],
)
def test_replies_raise_what_pymongo_raises(reply, raised, code):
    """Class, code and details of an exception are those of PyMongo."""
    rig = Rig()
    rig.network.answers.append(reply)
    error = rig.error(rig.orders.insert_one({"_id": 1}))
    assert type(error) is raised
    assert error.code == code
    assert error.details["code"] == code


def test_a_silent_member_is_given_up_after_the_socket_timeout():
    """Five seconds of silence are a NetworkTimeout."""
    rig = Rig("retry=none")
    rig.network.answers.append(failure("timeout"))
    error = rig.error(rig.orders.find_one({}))
    assert type(error) is NetworkTimeout
    assert "m1:27017: timed out" in str(error)
    assert 5_000_000 <= rig.elapsed_us < 5_100_000


def test_an_unacknowledged_write_is_sent_and_not_waited_for():
    """w:0 returns at once, in no session; whatever comes next on that connection comes after it."""
    rig = Rig("w=0")

    async def calls():
        result = await rig.orders.update_one({"_id": 1}, {"$inc": {"n": 1}})
        before = len(rig.network.sent)
        await rig.orders.find_one({})
        return result, before

    result, sent_before = rig.run(calls())
    assert not result.acknowledged
    with pytest.raises(InvalidOperation):
        _ = result.modified_count
    assert sent_before == 0
    assert rig.network.names == ["update", "find"]
    assert "lsid" not in rig.network.commands[0]
    assert rig.network.connections[0] == rig.network.connections[1]


def test_an_unacknowledged_write_fits_no_explicit_session():
    """PyMongo refuses it, and so does the model."""
    rig = Rig()
    orders = rig.orders.with_options(write_concern=WriteConcern(0))

    async def calls():
        async with rig.client.start_session() as session:
            await orders.insert_one({"_id": 1}, session=session)

    assert type(rig.error(calls())) is ConfigurationError


def test_a_lost_unacknowledged_write_is_lost_silently():
    """Nobody learns that a w:0 write did not arrive."""
    rig = Rig("w=0")
    rig.network.answers.append(failure("reset"))

    async def calls():
        await rig.orders.insert_one({"_id": 1})
        return await rig.orders.find_one({})

    assert rig.run(calls()) == {"_id": 1, "n": 1}
