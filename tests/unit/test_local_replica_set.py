"""The parts of a local set that need no server: configuration, health, member states, drained or not, logs, ports."""

from __future__ import annotations

import dataclasses
import json

import pytest
from bson import Timestamp

from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import Mongod
from harness.backends.local.drain import remains_of
from harness.backends.local.log import for_reader, in_words, last_lines, says_disk_full, says_port_taken
from harness.backends.local.observer import member_state
from harness.backends.local.ports import free_ports
from harness.backends.local.replica_set import configuration, what_is_unhealthy
from harness.errors import BackendError, FaultError, UsageError
from harness.interfaces.backend import MemberState

NAMES = ("m1", "m2", "m3")


def state(member: str, role: str = "SECONDARY", **changes) -> MemberState:
    """Return a member of a healthy set, changed."""
    healthy = MemberState(member=member, reachable=True, role=role, term=2, heard_from=NAMES)
    return dataclasses.replace(healthy, **changes)


HEALTHY = (state("m1", "PRIMARY"), state("m2"), state("m3"))


def test_a_healthy_set_lacks_nothing():
    """One primary, all others secondaries of its term, everybody heard by everybody."""
    assert what_is_unhealthy(HEALTHY) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (state("m1", "PRIMARY", reachable=False), "no answer from m1"),
        (state("m1"), "m1 is SECONDARY"),
        (state("m1", "PRIMARY", term=3), "m1 is PRIMARY of term 3"),
        (state("m1", "ROLLBACK"), "m1 is ROLLBACK"),
        (state("m1", "PRIMARY", heard_from=("m1", "m3")), "m1 does not hear from m2"),
    ],
)
def test_what_is_missing_for_health_is_said(change, words):
    """Each lack has its words."""
    assert words in what_is_unhealthy((change, *HEALTHY[1:]))


def test_two_primaries_are_not_healthy():
    """A stale primary beside the new one is not a healthy set."""
    assert "m2 is PRIMARY" in what_is_unhealthy((HEALTHY[0], state("m2", "PRIMARY"), HEALTHY[2]))


@pytest.mark.parametrize(("given", "expected"), [(None, None), (True, True), (False, False)])
def test_the_journal_default_is_written_only_when_given(given, expected):
    """None leaves writeConcernMajorityJournalDefault to the server."""
    document = configuration("name", ["a:1", "b:2"], journal_default=given)
    assert document.get("writeConcernMajorityJournalDefault") is expected
    assert [member["host"] for member in document["members"]] == ["a:1", "b:2"]


def test_a_members_state_is_read_from_its_status():
    """Addresses become member names; the applied position and the health of others are the member's own word."""
    status = {
        "term": 3,
        "syncSourceHost": "h:1",
        "optimes": {"appliedOpTime": {"ts": Timestamp(100, 7), "t": 2}},
        "members": [
            {"name": "h:1", "health": 1.0, "stateStr": "PRIMARY"},
            {"name": "h:2", "health": 1.0, "stateStr": "SECONDARY", "self": True},
            {"name": "h:3", "health": 0.0, "stateStr": "(not reachable/healthy)"},
        ],
    }
    seen = member_state("m2", status, 4, {"h:1": "m1", "h:2": "m2", "h:3": "m3"}, 99)
    assert seen == MemberState(
        member="m2",
        reachable=True,
        role="SECONDARY",
        term=3,
        applied=(2, 100, 7),
        heard_from=("m1", "m2"),
        sync_source="m1",
        rollback_id=4,
        process_id=99,
    )


def test_an_idle_connection_is_not_drained():
    """An idle connection has nothing to kill, and still counts: it may hold bytes that were not read."""
    remains = remains_of([{"type": "op", "active": False, "desc": "conn7", "appName": "run-1"}])
    assert remains.operations == ()
    assert remains.described == ("op conn7   run-1",)


def test_operations_and_sessions_are_found():
    """An active operation is killed by its number, a session (with its open transaction) by its identifier."""
    session = {"id": 1, "uid": 2}
    remains = remains_of([{"active": True, "opid": 5}, {"type": "idleSession", "lsid": session}])
    assert remains.operations == (5,)
    assert remains.sessions == (session,)


def test_the_last_lines_are_read_from_the_end(tmp_path):
    """However long the log is, the last lines are whole, in order and no more than asked for."""
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(50_000)))
    assert last_lines(path, 2) == ("line 49998", "line 49999")
    assert len(last_lines(path, 20_000)) == 20_000
    assert last_lines(path, 0) == ()
    assert last_lines(tmp_path / "missing", 3) == ()


def test_lines_of_an_earlier_start_are_left_out(tmp_path):
    """What stood in the log before a restart does not explain its failure."""
    path = tmp_path / "log"
    path.write_text("old\nnew\n")
    assert last_lines(path, 5, after=4) == ("new",)


def test_log_lines_are_told_in_words_without_stack_frames():
    """The reader sees time, component and message; the frames of a crash do not push its reason out of sight."""
    entry = {"t": {"$date": "2026-11-24T22:58:03.511Z"}, "s": "F", "c": "STORAGE", "msg": "Fatal", "attr": {"a": 1}}
    frame = {**entry, "msg": "  Frame: 1"}
    lines = [json.dumps(entry, separators=(",", ":")), *[json.dumps(frame, separators=(",", ":"))] * 30]
    assert for_reader(lines, 5) == ('22:58:03.511 F STORAGE: Fatal {"a": 1}',)
    assert in_words("plain text") == "plain text"


def test_causes_of_a_failed_start_are_recognised():
    """A taken port and a full disk are told apart from other ends."""
    taken = ("Failed to set up listener: SocketException: Address already in use",)
    full = ("WiredTiger error: No space left on device",)
    assert (says_port_taken(taken), says_disk_full(taken)) == (True, False)
    assert (says_port_taken(full), says_disk_full(full)) == (False, True)


def test_free_ports_are_distinct():
    """As many ports as asked for, none twice."""
    assert len(set(free_ports(7))) == 7


@pytest.mark.parametrize("members", [0, 2, 4, 9])
def test_a_number_of_members_that_makes_no_sense_is_refused(members, tmp_path):
    """Even and too many members are a usage error, before anything is started."""
    with pytest.raises(UsageError, match="members"):
        LocalBackend(mongod=Mongod(path=tmp_path, version="6.0.5", source=""), members=members)


def test_a_set_that_was_not_started_says_so(tmp_path):
    """Links and connections of a set that does not run are errors with a next step."""
    backend = LocalBackend(mongod=Mongod(path=tmp_path, version="6.0.5", source=""))
    assert backend.members == NAMES
    with pytest.raises(FaultError):
        _ = backend.links
    with pytest.raises(BackendError, match="not running"):
        backend.connection(0)
    with pytest.raises(BackendError, match="not running"):
        backend.observer_connection()
