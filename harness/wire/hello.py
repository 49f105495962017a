"""``hello``: what a member tells of itself and of the set, at once or when it changes.

Source: the specification "Server Discovery and Monitoring", mongod 6.0.5 for fields, codes and words.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bson.int64 import Int64
from bson.objectid import ObjectId

from harness.wire.documents import DOCUMENT_BYTES_MAX
from harness.wire.errors import RefusedError
from harness.wire.framing import MESSAGE_BYTES_MAX

NAMES: Final = frozenset({"hello", "isMaster", "ismaster"})
GOSSIP: Final = ("$clusterTime", "operationTime")
WRITE_BATCH_MAX: Final = 100_000
WIRE_VERSION_MAX: Final = 17
_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - dates in documents are naive UTC

_TYPE_NAMES: Final = {bool: "bool", int: "int", Int64: "long", str: "string", dict: "object", list: "array"}
_NUMBERS: Final = "[long, int, decimal, double']"


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaiting:
    """What an awaitable hello waits for: a version of the topology other than the one it knows."""

    process: ObjectId
    counter: int
    max_await_ms: int


def parse_awaiting(command: Mapping[str, Any], *, exhaust: bool) -> Awaiting | None:
    """Return what a hello waits for, None for one that is answered at once. Raises RefusedError as mongod answers."""
    name = next(iter(command))
    version = command.get("topologyVersion")
    max_await_ms = command.get("maxAwaitTimeMS")
    if version is not None:
        _check_version(name, version)
    if max_await_ms is not None:
        _check_max_await(name, max_await_ms)
    if exhaust and max_await_ms is None:
        raise RefusedError(51756, "An isMaster or hello request with exhaust must specify 'maxAwaitTimeMS'")
    if version is None and max_await_ms is None:
        return None
    if max_await_ms is None:
        raise RefusedError(31368, "A request with a 'topologyVersion' must include 'maxAwaitTimeMS'")
    if version is None:
        raise RefusedError(31368, "A request with 'maxAwaitTimeMS' must include a 'topologyVersion'")
    if version["counter"] < 0:
        raise RefusedError(31372, "topologyVersion must have a non-negative counter")
    return Awaiting(process=version["processId"], counter=int(version["counter"]), max_await_ms=int(max_await_ms))


def _check_version(command: str, version: Any) -> None:
    field = f"{command}.topologyVersion"
    if not isinstance(version, dict):
        raise _wrong_type(field, version, "expected type 'object'")
    for name, value in version.items():
        if name == "processId" and not isinstance(value, ObjectId):
            raise _wrong_type(f"{field}.{name}", value, "expected type 'objectId'")
        if name == "counter" and not isinstance(value, Int64):
            raise _wrong_type(f"{field}.{name}", value, "expected type 'long'")
        if name not in {"processId", "counter"}:
            raise RefusedError(40415, f"BSON field '{field}.{name}' is an unknown field.")
    for name in ("processId", "counter"):
        if name not in version:
            raise RefusedError(40414, f"BSON field '{field}.{name}' is missing but a required field")


def _check_max_await(command: str, max_await_ms: Any) -> None:
    if isinstance(max_await_ms, bool) or not isinstance(max_await_ms, int | float):
        raise _wrong_type(f"{command}.maxAwaitTimeMS", max_await_ms, f"expected types '{_NUMBERS}")
    if max_await_ms < 0:
        raise RefusedError(51024, f"BSON field 'maxAwaitTimeMS' value must be >= 0, actual value '{int(max_await_ms)}'")


def _wrong_type(field: str, value: Any, expected: str) -> RefusedError:
    actual = _TYPE_NAMES.get(type(value), type(value).__name__.lower())
    return RefusedError(14, f"BSON field '{field}' is the wrong type '{actual}', {expected}", "TypeMismatch")


def check_client(command: Mapping[str, Any], *, known: bool) -> None:
    """Raise RefusedError where the client's metadata is not as it must be, or comes a second time (``known``)."""
    client = command.get("client")
    if client is None:
        return
    if known:
        message = "The client metadata document may only be sent in the first hello"
        raise RefusedError(186, message, "ClientMetadataCannotBeMutated")
    if not isinstance(client, dict):
        raise RefusedError(14, "The client metadata document must be a document", "TypeMismatch")
    for part in ("driver", "os"):
        if part not in client:
            message = f"Missing required sub-document '{part}' in the client metadata document"
            raise RefusedError(183, message, "ClientMetadataMissingField")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """What a member knows of itself and the set. Two equal views have the same version of the topology."""

    member: str
    role: str
    """``PRIMARY``, ``SECONDARY``, ``ROLLBACK``, ``RECOVERING``, ..."""
    primary: str = ""
    """The member that it believes to be primary, or empty."""
    term: int = 0
    """Of the election that made it primary."""

    @property
    def writable(self) -> bool:
        """Whether it takes writes."""
        return self.role == "PRIMARY"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyVersion:
    """How often a member's view has changed in this life of its process."""

    process: ObjectId
    counter: int

    def document(self) -> dict[str, Any]:
        """Return it as replies have it."""
        return {"processId": self.process, "counter": Int64(self.counter)}

    def is_news_for(self, awaiting: Awaiting) -> bool:
        """Return whether who knows another version is answered at once. Raises RefusedError for one yet to come."""
        if awaiting.process != self.process:
            return True
        if awaiting.counter > self.counter:
            raise RefusedError(
                31382,
                f"Received a topology version with counter: {awaiting.counter} which is greater than the server "
                f"topology version counter: {self.counter}",
            )
        return awaiting.counter < self.counter


def election_id(term: int) -> ObjectId:
    """Return the id of an election; a later term has a greater one."""
    return ObjectId(bytes.fromhex("7fffffff") + term.to_bytes(8, "big"))


def hello_reply(
    command: Mapping[str, Any],
    view: MemberView,
    *,
    version: TopologyVersion,
    set_name: str,
    hosts: Mapping[str, str],
    last_write: Mapping[str, Any],
    now_us: int,
    connection: int,
) -> dict[str, Any]:
    """Return what the member answers, without cluster time.

    Arguments: ``hosts`` maps members to addresses, in the order of the configuration; ``now_us`` is its wall clock in
    microseconds since 1970.
    """
    reply: dict[str, Any] = {"helloOk": True} if command.get("helloOk") else {}
    writable = "isWritablePrimary" if "hello" in command else "ismaster"
    reply |= {
        "topologyVersion": version.document(),
        "hosts": list(hosts.values()),
        "setName": set_name,
        "setVersion": 1,
        writable: view.writable,
        "secondary": view.role == "SECONDARY",
    }
    if view.primary:
        reply["primary"] = hosts[view.primary]
    reply["me"] = hosts[view.member]
    if view.writable:
        reply["electionId"] = election_id(view.term)
    reply["lastWrite"] = dict(last_write)
    return reply | _limits(now_us, connection)


def _limits(now_us: int, connection: int) -> dict[str, Any]:
    return {
        "maxBsonObjectSize": DOCUMENT_BYTES_MAX,
        "maxMessageSizeBytes": MESSAGE_BYTES_MAX,
        "maxWriteBatchSize": WRITE_BATCH_MAX,
        "localTime": _EPOCH + datetime.timedelta(milliseconds=now_us // 1000),
        "logicalSessionTimeoutMinutes": 30,
        "connectionId": connection,
        "minWireVersion": 0,
        "maxWireVersion": WIRE_VERSION_MAX,
        "readOnly": False,
        "ok": 1.0,
    }
