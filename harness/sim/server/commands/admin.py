"""Commands about the server: ``hello``, ``replSetGetStatus``, ``replSetStepDown``, fail points and their like."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final

from bson.int64 import Int64
from bson.timestamp import Timestamp

from harness.sim.server.commands.arguments import fields
from harness.sim.server.commands.codes import failure
from harness.sim.server.commands.context import Request
from harness.sim.server.errors import not_writable_primary
from harness.sim.server.network import describe

if TYPE_CHECKING:
    from harness.sim.server.member import Member
    from harness.sim.server.records import OplogEntry

STEP_DOWN_FIELDS: Final = fields("replSetStepDown", {}, others=("secondaryCatchUpPeriodSecs", "force"))
FAIL_POINT_FIELDS: Final = fields("configureFailPoint", {"data": "object"}, others=("mode",))

VERSION: Final = "6.0.5"
REPLICA_SET_NAME: Final = "rs"
_US_PER_SECOND: Final = 1_000_000
_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - dates in documents are naive UTC
_STATES: Final = {"PRIMARY": 1, "SECONDARY": 2, "DOWN": 8, "ROLLBACK": 9}
_PARAMETERS: Final = (
    "transactionLifetimeLimitSeconds",
    "ttlMonitorSleepSecs",
    "maxTransactionLockRequestTimeoutMillis",
)
_STEP_DOWN_S: Final = 60
_CATCH_UP_S: Final = 10


async def hello(request: Request) -> dict[str, Any]:
    """Return what the member says of its set."""
    reply = dict(describe(request.service.replica_set, request.member))
    if request.name != "hello":
        reply["ismaster"] = reply.pop("isWritablePrimary")
    reply.pop("ok", None)
    return reply


async def ping(_request: Request) -> dict[str, Any]:
    """Answer."""
    return {}


async def build_info(_request: Request) -> dict[str, Any]:
    """Return the version that is modelled."""
    return {
        "version": VERSION,
        "gitVersion": "simulated",
        "modules": [],
        "versionArray": [6, 0, 5, 0],
        "bits": 64,
        "debug": False,
        "maxBsonObjectSize": 16 * 1024 * 1024,
        "storageEngines": ["simulated"],
    }


async def connection_status(_request: Request) -> dict[str, Any]:
    """Return that nobody is logged in."""
    return {"authInfo": {"authenticatedUsers": [], "authenticatedUserRoles": []}}


async def get_parameter(request: Request) -> dict[str, Any]:
    """Return those of the server's parameters that the simulation has. Raises CommandError 72 for any other."""
    configuration = request.service.configuration
    values = {
        "transactionLifetimeLimitSeconds": configuration.transaction_lifetime_us // _US_PER_SECOND,
        "ttlMonitorSleepSecs": configuration.ttl_interval_us // _US_PER_SECOND,
        "maxTransactionLockRequestTimeoutMillis": configuration.lock_timeout_us // 1_000,
    }
    found: dict[str, Any] = {name: values[name] for name in _PARAMETERS if name in request.command}
    if not found:
        raise failure(72, "no option found to get")
    return found


async def server_status(request: Request) -> dict[str, Any]:
    """Return the part of the status that clients look at."""
    member = request.member
    return {
        "host": f"{member.name}:27017",
        "version": VERSION,
        "process": "mongod",
        "localTime": request.now(),
        "storageEngine": {"name": "simulated", "supportsCommittedReads": True, "persistent": True},
        "repl": {"setName": REPLICA_SET_NAME, "isWritablePrimary": member.is_primary, "me": f"{member.name}:27017"},
        "transactions": {"currentOpen": Int64(_open_transactions(request))},
    }


def _open_transactions(request: Request) -> int:
    sessions = request.state.sessions.values()
    return sum(1 for session in sessions if session.transaction is not None and session.transaction.status == "open")


async def default_concerns(request: Request) -> dict[str, Any]:
    """``getDefaultRWConcern``: nothing was set, so the implicit defaults of 5.0 and later."""
    return {
        "defaultReadConcern": {"level": "local"},
        "defaultWriteConcern": {"w": "majority", "wtimeout": 0},
        "defaultWriteConcernSource": "implicit",
        "defaultReadConcernSource": "implicit",
        "localUpdateWallClockTime": request.now(),
    }


async def current_operations(request: Request) -> dict[str, Any]:
    """``currentOp``: the open transactions, as the operations of their sessions."""
    listed = []
    for session, active in request.state.sessions.items():
        if active.transaction is not None and active.transaction.status == "open":
            listed.append({"type": "idleSession", "lsid": session, "transaction": {"txnNumber": Int64(active.number)}})
    return {"inprog": listed}


async def replica_set_status(request: Request) -> dict[str, Any]:
    """``replSetGetStatus``: every member as this one sees it."""
    replica_set = request.service.replica_set
    own = request.member
    members = [_status(request, number, member) for number, member in enumerate(replica_set.in_order)]
    return {
        "set": REPLICA_SET_NAME,
        "date": request.now(),
        "myState": _STATES[own.role],
        "term": Int64(own.term),
        "heartbeatIntervalMillis": Int64(200),
        "majorityVoteCount": request.service.configuration.majority,
        "writeMajorityCount": request.service.configuration.majority,
        "votingMembersCount": len(members),
        "optimes": {"lastCommittedOpTime": _op_time(own.commit), "appliedOpTime": _op_time(own.last)},
        "members": members,
    }


def _status(request: Request, number: int, member: Member) -> dict[str, Any]:
    replica_set, own = request.service.replica_set, request.member
    reached = member is own or replica_set.linked(own, member)
    described: dict[str, Any] = {
        "_id": number,
        "name": f"{member.name}:27017",
        "health": 1.0 if reached else 0.0,
        "state": _STATES[member.role] if reached else 8,
        "stateStr": member.role if reached else "(not reachable/healthy)",
        "optime": _op_time(member.last),
        "optimeDate": _EPOCH + datetime.timedelta(seconds=member.last.timestamp >> 32),
    }
    if member is own:
        described["self"] = True
    return described


def _op_time(entry: OplogEntry) -> dict[str, Any]:
    return {"ts": Timestamp(entry.timestamp >> 32, entry.timestamp & 0xFFFFFFFF), "t": Int64(entry.term)}


async def replica_set_configuration(request: Request) -> dict[str, Any]:
    """``replSetGetConfig``."""
    configuration = request.service.configuration
    members = [
        {
            "_id": number,
            "host": f"{member.name}:27017",
            "arbiterOnly": False,
            "priority": member.priority,
            "votes": 1,
            "tags": {},
        }
        for number, member in enumerate(request.service.replica_set.in_order)
    ]
    return {
        "config": {
            "_id": REPLICA_SET_NAME,
            "version": 1,
            "term": request.member.term,
            "members": members,
            "protocolVersion": Int64(1),
            "writeConcernMajorityJournalDefault": configuration.journal_default,
            "settings": {"electionTimeoutMillis": configuration.election_timeout_us // 1_000},
        }
    }


async def step_down(request: Request) -> dict[str, Any]:
    """``replSetStepDown``: hand over to a secondary that is caught up; with ``force`` step down in any case."""
    command = request.command
    if request.member.role != "PRIMARY":
        raise not_writable_primary()
    seconds = int(command["replSetStepDown"] or _STEP_DOWN_S)
    force = bool(command.get("force"))
    catch_up_s = int(command.get("secondaryCatchUpPeriodSecs", 0 if force else _CATCH_UP_S))
    request.writes = False
    await request.service.replica_set.step_down(
        request.member.name,
        barred_us=seconds * _US_PER_SECOND,
        catch_up_us=catch_up_s * _US_PER_SECOND,
        force=force,
    )
    return {}


async def configure_fail_point(request: Request) -> dict[str, Any]:
    """``configureFailPoint``, for the fail points of :mod:`harness.sim.server.commands.fail_points`."""
    return request.service.fail_points.configure(request.member.name, request.command)
