"""The same calls on PyMongo with a real mongod and on the driver model, which is handed the replies of the real one.

Requests, results, exceptions and records must be the same, whatever names a session or a time.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
import uuid

from pymongo.monitoring import CommandListener
from pymongo.results import BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult
from scripted_network import Rig, failure
from single_member_set import admin_client

from harness.backends.driver import CancelFlag, Recorder, open_client, run_coroutine
from harness.clock import RunClock
from harness.failures import failure_of
from harness.journal import plain
from harness.settings import parse_settings


class Replies(CommandListener):
    """Keeps each reply as the model's network can give it, and hands the events on to the recorder."""

    def __init__(self, recorder):
        self.answers = []
        self._recorder = recorder

    @property
    def _belongs_to_a_call(self):
        # What PyMongo does on its own, to end sessions and cursors that were left, is no part of a call.
        return self._recorder._thread.call is not None

    def started(self, event):
        """Hand it on."""
        self._recorder.started(event)

    def succeeded(self, event):
        """Keep the reply."""
        if self._belongs_to_a_call:
            # PyMongo changes some replies afterwards, as it does with the indexes of bulk writes.
            self.answers.append(copy.deepcopy(event.reply))
        self._recorder.succeeded(event)

    def failed(self, event):
        """Keep the error as the server had it."""
        document = event.failure
        if "ok" in document:
            self.answers.append(dict(document))
        elif isinstance(document.get("code"), int):
            labels = document.get("errorLabels")
            reply = {"ok": 1.0, "writeConcernError": {k: v for k, v in document.items() if k != "errorLabels"}}
            self.answers.append({**reply, "errorLabels": labels} if labels else reply)
        else:
            self.answers.append(failure("reset"))
        self._recorder.failed(event)


class Side:
    """One of the two: its client, and what came of each call."""

    def __init__(self, client, name, fail):
        self.client = client
        self.database = client[name]
        self.orders = self.database["orders"]
        self.fail = fail
        self.outcomes = []

    async def note(self, awaitable):
        """Await it and keep its result, or what it raised."""
        try:
            result = await awaitable
        except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
            kept = failure_of(error)
            # What follows is the reply, which is compared on its own: as text it depends on the class of documents.
            message = kept.message.partition(", full error")[0].replace("Async", "")
            message = re.sub(r"<(\w+) object at \w+>", r"<\1>", message.removeprefix("Invalid document: "))
            self.outcomes.append(("raised", kept.types, message, kept.code, sorted(kept.labels), kept.reply))
            return None
        self.outcomes.append(shown(result))
        return result


def shown(result):
    """Return a result as it can be compared."""
    for kind, name in RESULTS:
        if isinstance(result, kind):
            return type(result).__name__, result.acknowledged, plain(getattr(result, name))
    if hasattr(result, "find_one"):
        return "Collection", result.full_name
    return ("Cursor", result.alive) if hasattr(result, "alive") else plain(result)


RESULTS = [
    (UpdateResult | DeleteResult, "raw_result"),
    (InsertOneResult, "inserted_id"),
    (InsertManyResult, "inserted_ids"),
    (BulkWriteResult, "bulk_api_result"),
]


def on_pymongo(calls, connection, settings, name):
    """Make the calls on PyMongo; return outcomes, records, and the replies."""
    recorder = Recorder(RunClock.start(), CancelFlag(), connection.members)
    replies = recorder.listener = Replies(recorder.listener)
    application = f"test-{uuid.uuid4().hex}"
    client = open_client(connection, parse_settings(settings), application_name=application, recorder=recorder)
    with admin_client(connection.seeds[0]) as admin:

        def fail(times, *commands, **data):
            data = {"failCommands": list(commands), "appName": application, **data}
            admin.admin.command({"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data})

        side = Side(client, name, fail)
        recorder.begin()
        try:
            run_coroutine(calls(side))
        finally:
            admin.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
            client.close_now()
            admin.admin.command("killAllSessions", [])
            admin.drop_database(name)
    return side.outcomes, recorder.end(), replies.answers


def on_model(calls, settings, name, answers):
    """Make the calls on the driver model with these replies; return outcomes and records."""
    rig = Rig(settings)
    rig.network.members = ("m1",)
    rig.network.answers.extend(answers)
    side = Side(rig.client, name, lambda *_, **__: None)
    rig.recorder.begin()
    rig.run(calls(side))
    return side.outcomes, rig.recorder.end(), rig.network.answers


def masked(value, connection):
    """Return records or outcomes as text, with sessions and addresses replaced by the order in which they appear."""
    text = json.dumps(plain(value), indent=1)
    text = text.replace(connection.seeds[0], "m1:27017")
    sessions = {}
    return re.sub(
        r'"lsid": "([0-9a-f]{32})"', lambda found: f'"lsid": {sessions.setdefault(found[1], len(sessions))}', text
    )


def without_times(calls):
    """Return records without when what happened."""
    return [
        {
            "name": call.name,
            "error": call.error,
            "attempts": [
                {
                    "command": each.command,
                    "request": each.request,
                    "server": each.server,
                    "ended": each.end_ns is not None,
                    "reply": each.reply,
                    "failure": each.failure,
                }
                for each in call.attempts
            ],
        }
        for call in calls
    ]


def assert_same(ours, theirs):
    """Fail with the lines that differ."""
    difference = difflib.unified_diff(theirs.splitlines(), ours.splitlines(), "PyMongo", "model", n=6, lineterm="")
    assert ours == theirs, "\n".join(difference)


def compare(calls, connection, settings=""):
    """Make the calls on both sides, and compare."""
    name = f"shop-{uuid.uuid4().hex[:12]}"
    real_outcomes, real_records, answers = on_pymongo(calls, connection, settings, name)
    model_outcomes, model_records, left = on_model(calls, settings, name, answers)
    assert_same(masked(without_times(model_records), connection), masked(without_times(real_records), connection))
    assert_same(masked(model_outcomes, connection), masked(real_outcomes, connection))
    assert not left, "the model sent fewer commands than PyMongo"
    assert len(real_records) > 0
