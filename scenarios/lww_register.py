"""Conflict resolution: a register in which the last write wins.

Seed section "Conflict Resolution Strategies", "CRDT Pattern", class ``LWWRegister``.
"""

from __future__ import annotations

import datetime
import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.errors import DuplicateKeyError

from harness import Call, Context, Env, Expected, Operation, Scenario, real_env
from harness.checkers import Stamped, last_write_wins, unexpected_errors

REGISTERS = 3


class PublishedRegister:
    """Upserts where the stored timestamp is older than the write's own, or missing.

    A write that is not newer matches nothing, so the upsert inserts a second document under the same ``_id`` and fails.
    """

    def __init__(self, database: Any, node_id: str = "node-0", *, env: Env = real_env) -> None:
        self._env = env
        self._node_id = node_id
        self._registers = database["registers"]

    async def set(self, register_id: str, value: Any) -> datetime.datetime:
        """Write ``value`` at the time of this node's clock; return that time."""
        timestamp = self._env.now()
        await self._registers.find_one_and_update(
            {
                "_id": register_id,
                "$or": [{"timestamp": {"$lt": timestamp}}, {"timestamp": {"$exists": False}}],
            },
            {"$set": {"value": value, "timestamp": timestamp, "nodeId": self._node_id}},
            upsert=True,
        )
        return timestamp

    async def get(self, register_id: str) -> Any:
        """Return the value, or None where nothing was written yet."""
        register = await self._registers.find_one({"_id": register_id})
        return register["value"] if register else None


class HardenedRegister:
    """Writes as published, but orders equal timestamps by node id, and takes losing for an answer.

    Changed: (1) the filter compares (timestamp, node id), so that of two writes in one millisecond the same one wins
    whatever the order of arrival. (2) E11000 says no more than that the register is there by now: the write is sent
    once more without upsert, and where that matches nothing it has lost, which is no error where the last write wins.
    (3) A node's timestamps grow: two writes of one node within a millisecond would else be one write to the others.

    A node id must be used by one instance at a time.
    """

    def __init__(self, database: Any, node_id: str = "node-0", *, env: Env = real_env) -> None:
        self._env = env
        self._node_id = node_id
        self._registers = database["registers"]
        self._last = datetime.datetime.min.replace(tzinfo=datetime.UTC)

    async def set(self, register_id: str, value: Any) -> datetime.datetime:
        """Write ``value`` at the time of this node's clock, unless a later write is there; return that time."""
        timestamp = self._last = max(self._env.now(), self._last + datetime.timedelta(milliseconds=1))
        older = {
            "_id": register_id,
            "$or": [
                {"timestamp": {"$lt": timestamp}},
                {"timestamp": timestamp, "nodeId": {"$lt": self._node_id}},
                {"timestamp": {"$exists": False}},
            ],
        }
        write = {"$set": {"value": value, "timestamp": timestamp, "nodeId": self._node_id}}
        try:
            await self._registers.find_one_and_update(older, write, upsert=True)
        except DuplicateKeyError:
            await self._registers.find_one_and_update(older, write)
        return timestamp

    async def get(self, register_id: str) -> Any:
        """Return the value, or None where nothing was written yet."""
        register = await self._registers.find_one({"_id": register_id})
        return register["value"] if register else None


async def write(context: Context, *, register: str, value: str) -> dict[str, Any]:
    """Set a register; return the timestamp and node id that the write carried."""
    timestamp = await node(context).set(register, value)
    return {"timestamp_ms": milliseconds(timestamp), "node": node_id(context)}


async def read(context: Context, *, register: str) -> Any:
    """Read the value of a register."""
    return await node(context).get(register)


def node(context: Context) -> Any:
    """Return the pattern as this client's node: node ids are the clients'."""
    if "node" not in context.state:
        context.state["node"] = type(context.pattern)(context.database, node_id(context), env=context.env)
    return context.state["node"]


def node_id(context: Context) -> str:
    """Return the node id of the client."""
    return f"node-{context.client}"


def milliseconds(timestamp: datetime.datetime) -> int:
    """Return a timestamp in milliseconds since 1970; a naive one is UTC, as PyMongo returns them."""
    aware = timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=datetime.UTC)
    return round(aware.timestamp() * 1000)


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Write unique values to a few registers, and read them now and then."""
    for number in itertools.count():
        register = f"register-{random.randrange(REGISTERS)}"
        if random.random() < 0.2:
            yield Call(function="read", arguments={"register": register})
        else:
            yield Call(function="write", arguments={"register": register, "value": f"{client}-{number}"})


async def final_reads(context: Context) -> dict[str, Any]:
    """Read every register."""
    registers = await context.database["registers"].find({}).to_list()
    return {
        "registers": {
            register["_id"]: {
                "value": register["value"],
                "timestamp_ms": milliseconds(register["timestamp"]),
                "node": register["nodeId"],
            }
            for register in registers
        }
    }


def write_of(operation: Operation) -> Stamped | None:
    """Return what an operation wrote or meant to write, or None where it sent nothing or is no write."""
    if operation.function != "write":
        return None
    timestamp_ms = operation.result["timestamp_ms"] if operation.outcome == "returned" else sent_timestamp_ms(operation)
    if timestamp_ms is None:
        return None
    return Stamped(
        key=operation.arguments["register"],
        timestamp=timestamp_ms,
        node=f"node-{operation.client}",
        value=operation.arguments["value"],
    )


def sent_timestamp_ms(operation: Operation) -> int | None:
    """Return the timestamp in the command of a write that did not return, from the record of its database calls."""
    sets = (attempt.request.get("update", {}).get("$set", {}) for attempt in operation.attempts)
    timestamp = next((fields["timestamp"] for fields in sets if "timestamp" in fields), None)
    return None if timestamp is None else milliseconds(datetime.datetime.fromisoformat(timestamp))


def registers_of(final: Mapping[str, Any]) -> dict[str, Stamped]:
    """Return the content of each register at the end."""
    return {
        name: Stamped(key=name, timestamp=content["timestamp_ms"], node=content["node"], value=content["value"])
        for name, content in final["registers"].items()
    }


EXPECTED = (
    Expected(
        variant="published",
        verdict="violated",
        anomaly="unexpected-error",
        why="a write that is not newer than the stored one matches nothing, and its upsert raises E11000",
    ),
    Expected(verdict="holds", why="a write that lost is answered like one that won, and ties are broken by node id"),
)

SCENARIO = Scenario(
    name="lww_register",
    contract="A register ends with the value of the greatest (timestamp, node id), reads converge to it, and no error "
    "reaches a caller whose write merely lost.",
    section="Conflict Resolution Strategies: CRDT Pattern, LWWRegister",
    variants={"published": PublishedRegister, "hardened": HardenedRegister},
    operations={"write": write, "read": read},
    workload=workload,
    final_reads=final_reads,
    checkers=(
        last_write_wins(write=write_of, final=registers_of, needs_final=("registers",)),
        unexpected_errors(),
    ),
    settings=("default", "clockSkewMS=500"),
    faults=("none", "partition-primary", "kill-primary"),
    expected=EXPECTED,
    advice={
        "published": "Do not adopt it as it stands: concurrent writers get E11000 under mere load, and of two writes "
        "in one millisecond the first to arrive wins.",
        "hardened": "Adopt it where losing a concurrent write is acceptable; with clocks apart, the node whose clock "
        "is ahead wins, even over later writes.",
    },
    think_ms=5.0,
)
