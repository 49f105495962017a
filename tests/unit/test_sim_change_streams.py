"""Change streams of the simulated server: what is told when, tokens, waiting, lost history, failover."""

from __future__ import annotations

from typing import Any

import pytest
from bson.timestamp import Timestamp
from command_steps import INC, MAJORITY, begin, commit, delete, find, insert, update, watch
from harness_links import isolate
from simulated_set import SimulatedSet

from harness.sim.server.commands import resume_tokens
from harness.sim.server.commands.resume_tokens import EVENT, Token
from harness.sim.server.commands.update_descriptions import describe_update
from harness.sim.server.defects import Defects
from harness.sim.server.errors import CommandError

ONE = {"w": 1}
SECOND_US = 1_000_000
PREFERENCE = {"$readPreference": {"mode": "secondaryPreferred"}}


class Watcher:
    """A client of a change stream, which resumes where it was told to."""

    def __init__(self, server: SimulatedSet, *, member: str = "", command: dict[str, Any] | None = None) -> None:
        self._server = server
        self._member = member
        reply = server((command or watch()) | PREFERENCE, member=member)
        assert reply["ok"] == 1.0, reply
        self.cursor = reply["cursor"]
        self.number = self.cursor["id"]

    @property
    def token(self) -> Any:
        """Where to resume."""
        return self.cursor["postBatchResumeToken"]

    def command(self, wait_ms: int = 10, **more: Any) -> dict[str, Any]:
        """Return the getMore."""
        collection = self.cursor["ns"].partition(".")[2]
        return {"getMore": self.number, "collection": collection, "maxTimeMS": wait_ms, **more}

    def events(self, **more: Any) -> list[dict[str, Any]]:
        """Return the next events."""
        reply = self._server(self.command(**more), member=self._member)
        assert reply["ok"] == 1.0, reply
        self.cursor = reply["cursor"]
        batch: list[dict[str, Any]] = self.cursor["nextBatch"]
        return batch

    def error(self) -> dict[str, Any]:
        """Return the reply of a getMore that fails."""
        return self._server(self.command(), member=self._member)


def keys(events: list[dict[str, Any]]) -> list[Any]:
    """Return the ids of the documents that events tell of."""
    return [event["documentKey"]["_id"] for event in events]


def test_only_what_is_committed_is_told() -> None:
    """While secondaries lag nothing is told; afterwards everything, in order."""
    server = SimulatedSet()
    server(insert({"_id": 0}, writeConcern=MAJORITY))
    watcher = Watcher(server)
    for member in ("m2", "m3"):
        server.replica_set.lag(member, on=True)
    for number in (1, 2):
        server(insert({"_id": number}, writeConcern=ONE))
    assert watcher.events() == []
    for member in ("m2", "m3"):
        server.replica_set.lag(member, on=False)
    assert keys(watcher.events()) == [1, 2]


def test_a_rolled_back_write_is_never_told() -> None:
    """What an isolated primary wrote alone is told nowhere."""
    server = SimulatedSet()
    server(insert({"_id": 0}, writeConcern=MAJORITY))
    watcher = Watcher(server, member="m2")
    isolate(server.replica_set, "m1")
    server(insert({"_id": "lost"}, writeConcern=ONE), member="m1")
    server.advance(5 * SECOND_US)
    server.run(server.replica_set.settle())
    server.advance(5 * SECOND_US)
    server(insert({"_id": "kept"}, writeConcern=MAJORITY))
    assert keys(watcher.events()) == ["kept"]


def test_a_get_more_waits_for_an_event() -> None:
    """It returns as soon as there is one, and empty at the end of its time."""
    server = SimulatedSet()
    server(insert({"_id": 0}))
    watcher = Watcher(server)

    async def later() -> None:
        await server.kernel.sleep(300_000)
        await server.command(insert({"_id": 1}))

    started = server.kernel.now_us
    reply, _ = server.run_together(server.command(watcher.command(wait_ms=1000)), later())
    assert keys(reply["cursor"]["nextBatch"]) == [1]
    assert server.kernel.now_us - started < SECOND_US
    started = server.kernel.now_us
    assert watcher.events(wait_ms=200) == []
    assert server.kernel.now_us - started == 200_000


def test_a_stream_resumes_after_any_event() -> None:
    """Each event's token leads to exactly the events after it, also on another member."""
    server = SimulatedSet()
    server(insert({"_id": 0}))
    watcher = Watcher(server)
    for number in range(1, 5):
        server(insert({"_id": number}))
    events = watcher.events()
    assert keys(events) == [1, 2, 3, 4]
    for place, event in enumerate(events):
        for member in ("m1", "m3"):
            resumed = Watcher(server, member=member, command=watch(resumeAfter=event["_id"]))
            assert keys(resumed.cursor["firstBatch"]) == [1, 2, 3, 4][place + 1 :]


def test_a_post_batch_token_loses_nothing() -> None:
    """Resuming after an empty batch tells what came later, and nothing twice."""
    server = SimulatedSet()
    server(insert({"_id": 0}))
    watcher = Watcher(server)
    assert watcher.events() == []
    server(insert({"_id": 1}))
    resumed = Watcher(server, command=watch(resumeAfter=watcher.token))
    assert keys(resumed.cursor["firstBatch"]) == [1]
    resumed = Watcher(server, command=watch(resumeAfter=resumed.token))
    assert resumed.cursor["firstBatch"] == []


def test_tokens_compare_as_the_events_do() -> None:
    """Tokens of successive events, within transactions too, ascend as strings."""
    server = SimulatedSet()
    server(insert({"_id": 0}))
    watcher = Watcher(server)
    server(insert({"_id": 1}))
    server(insert(*({"_id": f"t{number}"} for number in range(70)), **begin(1)))
    server(commit(1))
    server(delete({"_id": 1}))
    tokens = [event["_id"]["_data"] for event in watcher.events()]
    assert len(tokens) == 72
    assert tokens == sorted(tokens)
    assert len(set(tokens)) == 72


def test_a_stream_resumes_within_a_transaction() -> None:
    """A token of an event inside a transaction leads to the rest of that transaction."""
    server = SimulatedSet()
    server(insert({"_id": 0}))
    watcher = Watcher(server)
    server(insert({"_id": 1}, {"_id": 2}, {"_id": 3}, **begin(1)))
    server(commit(1))
    middle = watcher.events()[1]
    assert middle["txnNumber"] == 1
    resumed = Watcher(server, command=watch(resumeAfter=middle["_id"]))
    assert keys(resumed.cursor["firstBatch"]) == [3]


def test_a_stream_starts_at_a_time() -> None:
    """``startAtOperationTime`` tells the events of that time and later."""
    server = SimulatedSet()
    times = [server(insert({"_id": number}))["operationTime"] for number in range(3)]
    started = Watcher(server, command=watch(startAtOperationTime=times[1]))
    assert keys(started.cursor["firstBatch"]) == [1, 2]
    early = Watcher(server, command=watch(startAtOperationTime=Timestamp(1, 1)))
    assert keys(early.cursor["firstBatch"]) == [0, 1, 2]


def test_an_oplog_that_is_too_short_loses_the_stream() -> None:
    """A token older than the oplog gets 286, which cannot be resumed; so does a stream that was not read in time."""
    server = SimulatedSet(oplog_limit=5)
    server(insert({"_id": 0}))
    watcher = Watcher(server)
    token = watcher.token
    for number in range(1, 9):
        server(insert({"_id": number}))
    for reply in (watcher.error(), server(watch(resumeAfter=token))):
        assert (reply["code"], reply["errorLabels"]) == (286, ["NonResumableChangeStreamError"])


def test_lookup_reads_the_present_document() -> None:
    """``updateLookup`` skips states in between, and finds nothing of what was deleted."""
    server = SimulatedSet()
    server(insert({"_id": 1, "a": 1}, {"_id": 2, "a": 1}))
    watcher = Watcher(server, command=watch(fullDocument="updateLookup"))
    for number in (1, 1, 2):
        server(update({"_id": number}, INC))
    server(delete({"_id": 2}))
    told = [event.get("fullDocument") for event in watcher.events()]
    assert told[:3] == [{"_id": 1, "a": 3}, {"_id": 1, "a": 3}, None]


def test_a_stream_ends_with_its_collection() -> None:
    """A drop is told, then the invalidation, and the cursor is closed; only startAfter goes on from there."""
    server = SimulatedSet()
    server(insert({"_id": 1}))
    watcher = Watcher(server)
    server({"drop": "c"})
    events = watcher.events()
    assert [event["operationType"] for event in events] == ["drop", "invalidate"]
    assert watcher.cursor["id"] == 0
    assert watcher.error()["code"] == 43
    assert server(watch(resumeAfter=events[1]["_id"]))["code"] == 260
    again = Watcher(server, command=watch(startAfter=events[1]["_id"]))
    server(insert({"_id": 2}))
    assert keys(again.events()) == [2]


def test_streams_over_more_than_a_collection() -> None:
    """A stream of a database, or of all, tells of every collection in it."""
    server = SimulatedSet()
    server(insert({"_id": 0}))
    database = {"aggregate": 1, "pipeline": [{"$changeStream": {}}], "cursor": {}}
    cluster = {**database, "pipeline": [{"$changeStream": {"allChangesForCluster": True}}], "$db": "admin"}
    of_database = Watcher(server, command=database)
    of_all = server(cluster)["cursor"]
    server(insert({"_id": 1}))
    server({"insert": "d", "documents": [{"_id": 2}], "$db": "elsewhere"})
    assert keys(of_database.events()) == [1]
    more = {"getMore": of_all["id"], "collection": "$cmd.aggregate", "$db": "admin", "maxTimeMS": 10}
    assert keys(server(more)["cursor"]["nextBatch"]) == [1, 2]


def test_a_cursor_dies_with_its_member() -> None:
    """After a restart the cursor is not known, which is an error to resume after; the token holds."""
    server = SimulatedSet()
    server(insert({"_id": 0}, writeConcern=MAJORITY))
    watcher = Watcher(server, member="m2")
    server.replica_set.kill("m2")
    server.replica_set.restart("m2")
    server.advance(SECOND_US)
    assert watcher.error()["code"] == 43
    server(insert({"_id": 1}, writeConcern=MAJORITY))
    assert keys(Watcher(server, member="m2", command=watch(resumeAfter=watcher.token)).cursor["firstBatch"]) == [1]


def test_an_error_of_a_stream_says_whether_to_resume() -> None:
    """A stream that cannot be opened because the member rolls back may be opened elsewhere."""
    server = SimulatedSet()
    server.replica_set.members["m2"].role = "ROLLBACK"
    reply = server(watch() | PREFERENCE, member="m2")
    assert (reply["code"], reply["errorLabels"]) == (13436, ["ResumableChangeStreamError"])


@pytest.mark.parametrize(
    "token", [Token(7), Token(7, EVENT), Token(7, EVENT, 1), Token(7, EVENT, 5000, True), Token(8)]
)
def test_tokens_come_back_as_they_were(token: Token) -> None:
    """Decoding what was encoded gives the same place."""
    assert resume_tokens.decode(resume_tokens.encode(token, 5 if token.kind else 0)) == token


def test_what_is_no_token_is_refused() -> None:
    """Text that is no key string is an error, not a place."""
    for text in ("", "zz", "82", "00" * 20):
        with pytest.raises(CommandError):
            resume_tokens.decode({"_data": text})


def test_a_pipeline_that_changes_everything_is_a_replacement() -> None:
    """Where the difference is no shorter than the document, there is no description."""
    assert describe_update({"_id": 1, "a": 1}, {"_id": 1, "a": 2}, [{"$set": {"a": 2}}]) is None
    filled = {"_id": 1, "fill": "x" * 50}
    assert describe_update({**filled, "a": 1}, {**filled, "a": 2}, [{"$set": {"a": 2}}]) == {
        "updatedFields": {"a": 2},
        "removedFields": [],
        "truncatedArrays": [],
    }


def test_server_defects_of_change_streams() -> None:
    """Each switch of a wrong server does what it says."""
    early = SimulatedSet(defects=Defects(change_stream_shows_uncommitted=True))
    early(insert({"_id": 0}, writeConcern=MAJORITY))
    watcher = Watcher(early)
    for member in ("m2", "m3"):
        early.replica_set.lag(member, on=True)
    early(insert({"_id": 1}, writeConcern=ONE))
    assert keys(watcher.events()) == [1]

    skipping = SimulatedSet(defects=Defects(change_stream_skips_event=True))
    skipping(insert({"_id": 0}))
    watcher = Watcher(skipping)
    for number in (1, 2, 3):
        skipping(insert({"_id": number}))
    assert keys(watcher.events()) == [2, 3]
    assert skipping(find())["ok"] == 1.0
