"""``harness serve`` as a user runs it: PyMongo talks to it, faults are typed, and raw bytes get what mongod answers."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from bson import Int64
from pymongo import MongoClient, WriteConcern
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError, WTimeoutError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from raw_wire import EXHAUST_ALLOWED, MORE_TO_COME, body, malformed_messages, op_msg, raw_client
from three_ways import ServedProcess, harness_serve, mongod_set

pytestmark = pytest.mark.slow

MAJORITY = WriteConcern("majority")


@pytest.fixture
def served():
    """Run ``harness serve`` for one test, which may break it."""
    with harness_serve() as process:
        yield process


@pytest.fixture
def client(served):
    """Connect PyMongo to it."""
    with connect(served) as client:
        yield client


@pytest.fixture(scope="module")
def shared():
    """Run ``harness serve`` for the tests that leave it whole."""
    with harness_serve() as process:
        yield process


@pytest.fixture
def calm(shared):
    """Connect PyMongo to the one that stays whole."""
    with connect(shared) as client:
        yield client


def connect(served: ServedProcess, **options: Any) -> MongoClient[Any]:
    """Return a client of the served set."""
    defaults = {"heartbeatFrequencyMS": 500, "serverSelectionTimeoutMS": 8000}
    return MongoClient(served.connection_string, **{**defaults, **options})


def direct(served: ServedProcess, member: str, **options: Any) -> MongoClient[Any]:
    """Return a client of one member."""
    return MongoClient(served.addresses[member], directConnection=True, serverSelectionTimeoutMS=5000, **options)


def wait_for(condition, timeout_s: float = 8.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_driver_discovers_the_set(shared, calm):
    """PyMongo finds primary and secondaries at the ports that were told."""
    calm.admin.command("ping")
    wait_for(lambda: len(calm.secondaries) == 2)
    host, _, port = shared.addresses["m1"].partition(":")
    assert calm.primary == (host, int(port))
    assert calm.server_info()["version"] == "6.0.5"
    status = calm.admin.command("replSetGetStatus")
    assert [member["name"] for member in status["members"]] == [*shared.addresses.values()]


def test_documents_are_stored_and_found(calm):
    """Writes, reads, sessions, cursors beyond one batch, aggregation, read concerns and preferences work."""
    orders = calm.shop.orders
    orders.insert_many([{"_id": number, "n": number % 7} for number in range(500)])
    assert orders.count_documents({"n": 3}) == 71
    assert len(list(orders.find({}, batch_size=20))) == 500
    assert orders.update_many({"n": 6}, {"$set": {"m": 1}}).modified_count == 71
    assert next(iter(orders.aggregate([{"$group": {"_id": None, "sum": {"$sum": "$n"}}}])))["sum"] == 1494
    majority = orders.with_options(read_concern=ReadConcern("majority"))
    assert majority.find_one({"_id": 499}) == {"_id": 499, "n": 2}
    replicated = calm.shop.get_collection("orders", write_concern=WriteConcern(3))
    replicated.insert_one({"_id": 500})
    secondary = orders.with_options(read_preference=ReadPreference.SECONDARY)
    assert secondary.find_one({"_id": 500}) == {"_id": 500}
    orders.drop()
    assert calm.shop.list_collection_names() == []


def test_transactions(calm):
    """A transaction commits or aborts as a whole; with_transaction runs its callback again after a conflict."""
    accounts = calm.bank.accounts
    accounts.insert_many([{"_id": 1, "n": 10}, {"_id": 2, "n": 0}])
    conflicts = []

    def transfer(session: Any) -> None:
        accounts.update_one({"_id": 1}, {"$inc": {"n": -3}}, session=session)
        if not conflicts:
            conflicts.append(1)
            with calm.start_session() as other:
                with other.start_transaction(), pytest.raises(PyMongoError) as raised:
                    accounts.update_one({"_id": 1}, {"$inc": {"n": 99}}, session=other)
                assert raised.value.has_error_label("TransientTransactionError")
        accounts.update_one({"_id": 2}, {"$inc": {"n": 3}}, session=session)

    with calm.start_session() as session:
        session.with_transaction(transfer, write_concern=MAJORITY)
        session.start_transaction()
        accounts.delete_many({}, session=session)
        session.abort_transaction()
    assert [each["n"] for each in accounts.find().sort("_id")] == [7, 3]


def test_a_change_stream_waits_in_real_time(calm):
    """A stream is silent for its time, then tells of a write, and begins again after its token."""
    events = calm.streams.get_collection("events", write_concern=MAJORITY)
    events.insert_one({"_id": 0})
    with events.watch(max_await_time_ms=300) as stream:
        began = time.monotonic()
        assert stream.try_next() is None
        assert 0.25 < time.monotonic() - began < 5
        events.insert_one({"_id": 1})
        first = next(stream)
        events.insert_one({"_id": 2})
    with events.watch(resume_after=first["_id"]) as stream:
        assert next(stream)["documentKey"] == {"_id": 2}


def test_a_change_stream_survives_a_failover(served):
    """When the primary is killed the stream goes on at the next one, without loss."""
    client = connect(served, serverSelectionTimeoutMS=2500)
    events = client.shop.get_collection("events", write_concern=MAJORITY)
    events.insert_one({"_id": 0})
    # The stream's getMore waits for the dead member as long as the selection of a server may take: PyMongo's way.
    with client, events.watch(max_await_time_ms=100) as stream:
        events.insert_one({"_id": 1})
        assert next(stream)["documentKey"] == {"_id": 1}
        served.order("kill primary")
        events.insert_one({"_id": 2})
        assert next(stream)["documentKey"] == {"_id": 2}


def test_a_killed_primary_is_replaced(served, client):
    """After ``kill`` a retryable write lands on the next primary; the member comes back as a secondary."""
    orders = client.shop.orders
    orders.insert_one({"_id": 1})
    assert served.order("kill m1") == "m1 is killed"
    with pytest.raises(AutoReconnect), direct(served, "m1") as gone:
        gone.admin.command("ping")
    orders.insert_one({"_id": 2})
    assert client.primary is not None
    assert f"{client.primary[0]}:{client.primary[1]}" != served.addresses["m1"]
    assert served.order("restart m1") == "m1 starts again"
    wait_for(lambda: served.status()["m1"].startswith("SECONDARY"))
    wait_for(lambda: len(client.secondaries) == 2)
    with direct(served, "m1", readPreference="secondary") as back:
        wait_for(lambda: back.shop.orders.count_documents({}) == 2)


def test_a_partition_loses_what_no_majority_has(served, client):
    """A w:1 write to a primary that is cut off is acknowledged and rolled back; a majority write stays."""
    orders = client.shop.orders
    orders.insert_one({"_id": "before"})
    served.order("partition-primary")
    with direct(served, "m1") as old:
        weak = old.shop.get_collection("orders", write_concern=WriteConcern(1))
        assert weak.insert_one({"_id": "lost"}).acknowledged
        strong = old.shop.get_collection("orders", write_concern=WriteConcern("majority", wtimeout=100))
        with pytest.raises(WTimeoutError):
            strong.insert_one({"_id": "lost too"})
    served.wait_for_primary(but="m1")
    wait_for(lambda: client.primary is not None and f"127.0.0.1:{client.primary[1]}" != served.addresses["m1"])
    orders.insert_one({"_id": "kept"})
    served.order("heal")
    wait_for(lambda: "rolled back 1 times" in served.status()["m1"])
    assert sorted(each["_id"] for each in orders.find()) == ["before", "kept"]


def test_lag_and_stepdown(served, client):
    """A lagged secondary keeps w:3 waiting, and is not behind any more after ``catch-up``; ``stepdown`` hands over."""
    everywhere = client.shop.get_collection("orders", write_concern=WriteConcern(3, wtimeout=200))
    everywhere.insert_one({"_id": 1})
    served.order("lag m3")
    with pytest.raises(WTimeoutError):
        everywhere.insert_one({"_id": 2})
    served.order("catch-up m3")
    everywhere.insert_one({"_id": 3})
    assert served.order("stepdown") == "m1 stepped down"
    assert served.wait_for_primary(but="m1") in {"m2", "m3"}
    everywhere.insert_one({"_id": 4})


def test_a_paused_primary_answers_later(served):
    """A write that waits in the socket of a paused primary is run when it goes on, and rolled back."""
    with direct(served, "m1") as one, raw_client(served.addresses["m1"]) as raw:
        one.shop.orders.insert_one({"_id": 0})
        served.order("pause m1")
        insert = {"insert": "orders", "$db": "shop", "documents": [{"_id": "late"}], "writeConcern": {"w": 1}}
        raw.send(op_msg(body(insert)))
        with pytest.raises(TimeoutError):
            raw.receive(timeout_s=0.3)
        served.wait_for_primary(but="m1")
        served.order("resume m1")
        assert raw.receive().document["n"] == 1
    wait_for(lambda: "rolled back 1 times" in served.status()["m1"])
    with connect(served) as client:
        assert client.shop.orders.find_one({"_id": "late"}) is None


def test_orders_that_are_no_orders(shared):
    """Words that there are not get the near ones, and nothing happens."""
    before = shared.status()
    assert "did you mean kill?" in shared.order("kil m1", lines=2)
    assert "unknown member 'm9'" in shared.order("kill m9", lines=2)
    assert "type: kill MEMBER" in shared.order("kill", lines=2)
    assert "type: kill m1" in shared.order("restart m1", lines=2)
    assert "type: skew" in shared.order("skew m1 soon", lines=2)
    assert before == shared.status()


def test_five_members_and_a_seed():
    """Five members can be had, whose choices are drawn from a seed."""
    with harness_serve("--members", "5", "--seed", "7", "--journal-default", "false") as served:
        assert len(served.addresses) == 5
        with connect(served) as client:
            client.shop.get_collection("orders", write_concern=WriteConcern(5)).insert_one({"_id": 1})
            wait_for(lambda: len(client.secondaries) == 4)


def test_a_stream_whose_place_left_the_oplog_gets_what_mongod_answers():
    """With ``--oplog-entries`` old entries are forgotten: resuming before them is 286, as on mongod."""
    with harness_serve("--oplog-entries", "50") as served, connect(served) as client:
        orders = client.shop.orders
        orders.insert_one({"_id": 0})
        with orders.watch() as stream:
            orders.insert_one({"_id": 1})
            token = next(stream)["_id"]
        for number in range(2, 20):
            orders.insert_one({"_id": number})
        with orders.watch(resume_after=token) as stream:
            assert next(stream)["documentKey"] == {"_id": 2}
        for number in range(20, 80):
            orders.insert_one({"_id": number})
        with pytest.raises(OperationFailure) as caught:
            orders.watch(resume_after=token)
        assert caught.value.code == 286
        assert caught.value.has_error_label("NonResumableChangeStreamError")


@pytest.mark.parametrize("end", ["ctrl-C", "SIGTERM", "quit"])
def test_it_ends_clean(end):
    """It ends with code 0 and without a traceback, with a client still connected."""
    with harness_serve() as served, connect(served, serverSelectionTimeoutMS=500) as client:
        client.admin.command("ping")
        if end == "quit":
            assert served.process.stdin is not None
            served.process.stdin.write("quit\n")
            served.process.stdin.flush()
        else:
            served.process.send_signal(signal.SIGINT if end == "ctrl-C" else signal.SIGTERM)
        assert served.process.wait(10) == 0
        assert served.process.stderr is not None
        assert served.process.stderr.read().strip() == "the set is gone, nothing was stored"


def test_it_serves_without_standard_input():
    """Where nothing can be typed it goes on serving."""
    harness = Path(sys.executable).with_name("harness")
    command = [str(harness), "serve", "--port", "0"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout is not None
        connection_string = process.stdout.readline().strip()
        try:
            with MongoClient[Any](connection_string, serverSelectionTimeoutMS=5000) as client:
                assert client.admin.command("ping")["ok"] == 1
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0


def test_a_port_that_is_taken_is_told_to_the_user(shared):
    """A port in use ends the command with words and a next step."""
    port = shared.addresses["m1"].partition(":")[2]
    harness = Path(sys.executable).with_name("harness")
    done = subprocess.run(
        [str(harness), "serve", "--port", port], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 4
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port 0" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def mongod(tmp_path_factory):
    """Start a real member, for comparison."""
    with mongod_set(tmp_path_factory.mktemp("wire"), members=1) as connection_string:
        yield connection_string.removeprefix("mongodb://").partition("/")[0]


@pytest.mark.mongod
def test_malformed_messages_get_what_mongod_answers(shared, mongod):
    """Bytes that no driver sends are answered, or closed on, as by mongod; the connection goes on where its does."""
    differing = {}
    for name, data in malformed_messages().items():
        outcomes = []
        for address in (mongod, shared.addresses["m1"]):
            with raw_client(address) as raw:
                outcome = raw.outcome(data)
                after = raw.outcome(op_msg(body({"ping": 1, "$db": "admin"})))
                outcomes.append([outcome, after])
        if outcomes[0] != outcomes[1]:
            differing[name] = outcomes
    assert differing == {}


def awaited(raw: Any) -> list[Any]:
    """Return what streams and waits tell of themselves, without ids and times."""
    known = raw.ask({"hello": 1, "$db": "admin"})["topologyVersion"]
    waiting = {"hello": 1, "topologyVersion": known, "maxAwaitTimeMS": Int64(200), "$db": "admin"}
    began = time.monotonic()
    told: list[Any] = [raw.ask(waiting)["ok"], 0.15 < time.monotonic() - began < 3]
    insert = {"insert": "many", "documents": [{"_id": number} for number in range(10)], "$db": "raw"}
    told.append(raw.ask(insert)["n"])
    cursor = raw.ask({"find": "many", "batchSize": 2, "sort": {"_id": 1}, "$db": "raw"})["cursor"]
    more = {"getMore": cursor["id"], "collection": "many", "batchSize": 3, "$db": "raw"}
    raw.send(op_msg(body(more), bits=EXHAUST_ALLOWED))
    batches = [raw.receive() for _ in range(3)]
    told.append([[reply.flags, len(reply.document["cursor"]["nextBatch"])] for reply in batches])
    raw.send(op_msg(body({**insert, "documents": [{"_id": 99}]}), bits=MORE_TO_COME))
    told.append(raw.ask({"count": "many", "$db": "raw"})["n"])
    raw.send(op_msg(body(waiting), bits=EXHAUST_ALLOWED))
    replies = [raw.receive() for _ in range(2)]
    told.append([reply.flags for reply in replies])
    told.append(replies[1].response_to == replies[0].request_id)
    return told


@pytest.mark.mongod
def test_streams_are_mongods(shared, mongod):
    """Awaitable hello, streaming hello, exhaust cursors and unacknowledged writes go as on mongod."""
    with raw_client(mongod) as real, raw_client(shared.addresses["m1"]) as simulated:
        expected = awaited(real)
        assert expected == [1.0, True, 10, [[2, 3], [2, 3], [0, 2]], 11, [2, 2], True]
        assert awaited(simulated) == expected


@pytest.mark.mongod
def test_hello_has_mongods_fields(shared, mongod):
    """A primary's ``hello`` has the fields of mongod's, with values of the same types."""
    with raw_client(mongod) as real, raw_client(shared.addresses["m1"]) as simulated:
        expected, told = (each.ask({"hello": 1, "helloOk": True, "$db": "admin"}) for each in (real, simulated))
    assert {name: type(value) for name, value in told.items()} == {
        name: type(value) for name, value in expected.items()
    }
    same = ("maxBsonObjectSize", "maxMessageSizeBytes", "maxWriteBatchSize", "logicalSessionTimeoutMinutes")
    for name in (*same, "minWireVersion", "maxWireVersion", "readOnly", "ok", "setVersion", "secondary"):
        assert told[name] == expected[name], name


BLOCKED_MS = 300


def blocked_finds(connection_string: str) -> dict[str, Any]:
    """Return who was held up by a ``failCommand`` for one application's finds, and how a faulty one is refused."""
    with (
        MongoClient(connection_string, appname="slow") as slow,
        MongoClient(connection_string, appname="quick") as quick,
    ):
        data: dict[str, Any] = {"failCommands": ["find"], "appName": "slow", "blockConnection": True}
        order = {"configureFailPoint": "failCommand", "mode": "alwaysOn"}
        try:
            quick.admin.command({**order, "data": {**data, "blockTimeMS": BLOCKED_MS}})
            held_up = (is_held_up(slow), is_held_up(quick))
            quick.admin.command({**order, "data": {**data, "blockTimeMS": BLOCKED_MS, "errorCode": 2}})
            began = time.monotonic()
            code = code_of_find(slow)
            after_block = time.monotonic() - began >= BLOCKED_MS / 1000
            quick.admin.command({**order, "data": data})
            refused = code_of_find(slow)
        finally:
            quick.admin.command({**order, "mode": "off"})
        return {"held up": held_up, "after": (code, after_block), "refused": refused}


def is_held_up(client: MongoClient[Any]) -> bool:
    began = time.monotonic()
    client.shop.orders.find_one()
    return time.monotonic() - began >= BLOCKED_MS / 1000


def code_of_find(client: MongoClient[Any]) -> int | None:
    try:
        client.shop.orders.find_one()
    except PyMongoError as error:
        return error.code
    return None


@pytest.mark.mongod
def test_fail_points_hold_up_the_connections_of_one_application(shared, tmp_path):
    """``blockConnection`` and ``appName`` of failCommand do on the wire front what they do on mongod."""
    served = blocked_finds(shared.connection_string)
    assert served["held up"] == (True, False)
    with mongod_set(tmp_path, members=1) as connection_string:
        assert blocked_finds(connection_string) == served
