"""The recorder by itself, fed with monitoring events: what becomes of odd orders of events. No database is needed."""

from __future__ import annotations

import datetime

import pytest
from bson import Binary, Int64, ObjectId, Timestamp
from pymongo.monitoring import CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent

from harness.backends.driver import CancelFlag, Cancelled, ClientDied, Recorder
from harness.clock import RunClock
from harness.journal import plain
from harness.status import classify

INSERT = {"insert": "orders", "documents": [{"_id": ObjectId("0" * 24)}], "lsid": {"id": Binary(b"\x0f" * 16, 4)}}
REPLY = {"ok": 1.0, "n": 1, "operationTime": Timestamp(7, 1), "cursor": {"id": Int64(5)}, "$clusterTime": {}}
ADDRESS = ("m1.example", 27017)
NO_TIME = datetime.timedelta(0)


@pytest.fixture
def recorder():
    """Return a recorder that knows one member."""
    return Recorder(RunClock.start(), CancelFlag(), {"m1.example:27017": "m1"})


def _start(recorder, address=ADDRESS):
    recorder.listener.started(CommandStartedEvent(INSERT, "shop", 1, address, 1))


def _succeed(recorder):
    recorder.listener.succeeded(CommandSucceededEvent(NO_TIME, REPLY, "insert", 1, ADDRESS, 1, database_name="shop"))


def _fail(recorder):
    failure = {"errmsg": "closed", "errtype": "AutoReconnect"}
    recorder.listener.failed(CommandFailedEvent(NO_TIME, failure, "insert", 1, ADDRESS, 1, database_name="shop"))


def _record(recorder, *steps):
    recorder.begin()
    recorder.call("orders.insert_one", lambda: [step(recorder) for step in steps])
    return recorder.end()


def test_attempts_in_order(recorder):
    """Each command is an attempt with its answer, in plain values; the session is its id alone."""
    (call,) = _record(recorder, _start, _fail, _start, _succeed)
    first, second = call.attempts
    assert (first.failure.answered, second.failure) == (False, None)
    assert first.request["lsid"] == "0f" * 16
    assert second.reply == {
        "ok": 1.0,
        "n": 1,
        "operationTime": {"$timestamp": {"t": 7, "i": 1}},
        "cursor": {"id": 5},
    }
    assert plain(call)["attempts"][1]["reply"] == second.reply


def test_command_without_an_end_is_unanswered(recorder):
    """A command whose end monitoring never told is on record as sent, whether another follows or not."""
    (call,) = _record(recorder, _start, _start, _succeed, _start)
    assert [attempt.reply is None and attempt.end_ns is None for attempt in call.attempts] == [True, False, True]
    assert classify((call,), "raised") == "info"


def test_call_that_raises_with_a_command_open_is_recorded_once(recorder):
    """An exception between sending and answer neither loses nor doubles the call."""

    def send_and_raise():
        _start(recorder)
        raise KeyboardInterrupt

    recorder.begin()
    with pytest.raises(KeyboardInterrupt):
        recorder.call("orders.insert_one", send_and_raise)
    (call,) = recorder.end()
    assert (call.error, len(call.attempts)) == ("KeyboardInterrupt", 1)


def test_call_that_sent_nothing(recorder):
    """A call served from memory leaves no trace; one that raised before anything was sent does."""
    recorder.begin()
    recorder.call("orders.find", lambda: None)
    with pytest.raises(KeyError):
        recorder.call("orders.find", {}.__getitem__, ("missing",))
    assert [(call.error, call.attempts) for call in recorder.end()] == [("KeyError", ())]


def test_unknown_server_is_named_by_its_address(recorder):
    """A server that the harness did not start is told by host and port."""
    (call,) = _record(recorder, lambda recorder: _start(recorder, ("db.example", 1)), _succeed)
    assert call.attempts[0].server == "db.example:1"


def test_events_outside_a_call_are_ignored(recorder):
    """What the driver sends by itself (endSessions, killCursors) belongs to no call."""
    _start(recorder)
    _succeed(recorder)
    _fail(recorder)
    recorder.begin()
    _start(recorder)
    _fail(recorder)
    assert recorder.end() == ()
    assert recorder.end() == ()


def test_death_strikes_a_call_that_reached_the_wire(recorder):
    """A call from memory does not use the crash up; the next that was sent does, and the next operation lives."""
    recorder.arm_crash()
    recorder.begin()
    recorder.call("orders.find", lambda: None)
    with pytest.raises(ClientDied):
        recorder.call("orders.insert_one", lambda: (_start(recorder), _succeed(recorder)))
    for cleanup in (False, True):
        with pytest.raises(ClientDied):
            recorder.call("session.end_session", lambda: pytest.fail("reached the database"), cleanup=cleanup)
    with pytest.raises(ClientDied):
        recorder.check()
    assert len(recorder.end()) == 1
    recorder.check()


def test_disarmed_crash_does_not_strike(recorder):
    """A crash that was taken back before it struck does not come."""
    recorder.arm_crash()
    recorder.disarm_crash()
    assert len(_record(recorder, _start, _succeed)) == 1


def test_cancelled_client_makes_cleanup_calls_only():
    """After cancellation nothing is sent but what gives back the server's resources."""
    cancel = CancelFlag()
    recorder = Recorder(RunClock.start(), cancel, {})
    recorder.begin()
    cancel.set()
    with pytest.raises(Cancelled):
        recorder.call("orders.find_one", lambda: pytest.fail("reached the database"))
    assert recorder.call("session.end_session", lambda: "done", cleanup=True) == "done"
