"""One document that only grows, read and written at the concerns of the cell: what each pair of them lets happen.

Writers append a token, readers take the list that they see. Whatever a list lacks, holds too early or loses again says
which guarantee of the server's is missing; the check tells them apart by kind. The variants are the kinds of read:
plain ones, ones in a snapshot session, and everything in one causal session for each client.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo.read_concern import ReadConcern

from harness import Call, Context, Env, History, Operation, Scenario, real_env
from harness.checkers.findings import Findings
from harness.interfaces.checker import Checker
from harness.verdict import Verdict

KEY = "register"
WRITES_SHARE = 0.45
ONE_LOOK_NS = 100_000_000
"""Two reads of one operation within this time met the same life of a member: a restart takes longer."""


class PlainRegister:
    """Every call in a session of its own, as drivers do without an explicit one."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._documents = database["documents"]
        self._committed = database.with_options(read_concern=ReadConcern("majority"))["documents"]
        self._client = database.client

    async def append(self, token: str) -> None:
        """Append a token."""
        await self._documents.update_one({"_id": KEY}, {"$push": {"tokens": token}})

    async def look(self) -> list[str]:
        """Return the tokens at the cell's read concern."""
        return tokens_of(await self._documents.find_one({"_id": KEY}))

    async def look_at_committed(self) -> list[str]:
        """Return the tokens that the member which is asked knows to be majority-committed."""
        return tokens_of(await self._committed.find_one({"_id": KEY}))


class SnapshotRegister(PlainRegister):
    """Each read in a snapshot session of its own."""

    async def look(self) -> list[str]:
        """Return the tokens at a majority-committed time."""
        async with self._client.start_session(snapshot=True) as session:
            return tokens_of(await self._documents.find_one({"_id": KEY}, session=session))


class CausalRegister(PlainRegister):
    """Everything that a client does is in one causally consistent session, which lasts as long as the client."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        super().__init__(database, env=env)
        self._session = database.client.start_session(causal_consistency=True)

    async def append(self, token: str) -> None:
        """Append a token."""
        await self._documents.update_one({"_id": KEY}, {"$push": {"tokens": token}}, session=self._session)

    async def look(self) -> list[str]:
        """Return the tokens that are there after all that this session saw."""
        return tokens_of(await self._documents.find_one({"_id": KEY}, session=self._session))


def tokens_of(document: Any) -> list[str]:
    """Return the tokens of the document, none where it is not there."""
    return document["tokens"] if document else []


async def append(context: Context, *, token: str) -> None:
    """Append a token."""
    await context.pattern.append(token)


async def look(context: Context) -> dict[str, Any]:
    """Read the list, and right after it what the member knows to be committed of it."""
    seen = await context.pattern.look()
    return {"seen": seen, "committed": await context.pattern.look_at_committed()}


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Append and look in turns, as chance has it."""
    for number in itertools.count():
        if random.random() < WRITES_SHARE:
            yield Call(function="append", arguments={"token": f"{client}-{number}"})
        else:
            yield Call(function="look")


async def setup(context: Context) -> None:
    """Insert the document, without a token."""
    await context.database["documents"].insert_one({"_id": KEY, "tokens": []})


async def final_reads(context: Context) -> dict[str, Any]:
    """Read the list at the end."""
    return {"tokens": tokens_of(await context.database["documents"].find_one({"_id": KEY}))}


@dataclass(slots=True)
class _Session:
    """What one client has seen and done so far, in its own order."""

    acknowledged: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    seen_before: dict[str, frozenset[str]] = field(default_factory=dict)
    """Own acknowledged token to what the client had seen when it appended it."""


def judge(history: History) -> Verdict:
    """Return every missing guarantee, each as an anomaly of its kind."""
    findings = Findings(history, GUARANTEE)
    final = history.final["tokens"]
    _judge_writes(history, final, findings)
    looks = [each for each in history.of("look") if each.outcome == "returned"]
    for each in looks:
        _judge_look(history, each, set(final), findings)
    for client in range(_clients(history)):
        _judge_session([each for each in history.operations if each.client == client], looks, final, findings)
    return findings.conclude(
        CHECKER, operations=len(history.operations), unknown="" if looks else "nobody looked: there is nothing to judge"
    )


def _clients(history: History) -> int:
    return 1 + max((each.client for each in history.operations), default=-1)


def _judge_writes(history: History, final: Sequence[str], findings: Findings) -> None:
    for each in history.of("append"):
        if each.outcome == "returned" and each.arguments["token"] not in final:
            findings.add("lost-write", (f"{each.describe()} is not in the final state",), (each,))


def _judge_look(history: History, look: Operation, final: set[str], findings: Findings) -> None:
    seen = look.result["seen"]
    if not set(seen) <= final:
        findings.add("rolled-back-read", (f"{look.describe()}, and the final state lacks some",), (look,))
    missing = [
        each
        for each in history.of("append")
        if each.outcome == "returned"
        and each.returned_ns is not None
        and each.returned_ns < look.start_ns
        and each.arguments["token"] in final
        and each.arguments["token"] not in seen
    ]
    if missing:
        findings.add("stale-read", (f"{look.describe()}, after {missing[0].describe()}",), (missing[0], look))
    if _is_one_look(look) and not set(seen) <= set(look.result["committed"]):
        findings.add("dirty-read", (f"{look.describe()}: its member did not know that to be committed",), (look,))


def _is_one_look(look: Operation) -> bool:
    """Whether both reads of an operation were answered by one life of one member."""
    reads = [call.attempts for call in look.calls if call.attempts]
    within = look.returned_ns is not None and look.returned_ns - look.start_ns < ONE_LOOK_NS
    return within and len(reads) == 2 and reads[0][-1].server == reads[1][-1].server


def _judge_session(
    own: Sequence[Operation], looks: Sequence[Operation], final: Sequence[str], findings: Findings
) -> None:
    session = _Session()
    for each in own:
        if each.outcome != "returned":
            continue
        if each.function == "append":
            token = each.arguments["token"]
            session.seen_before[token] = frozenset(session.seen)
            session.acknowledged.append(token)
            continue
        seen = set(each.result["seen"])
        if not seen.issuperset(session.acknowledged):
            findings.add("own-write-missing", (f"{each.describe()}, after own {session.acknowledged}",), (each,))
        if not seen >= session.seen:
            findings.add("went-back", (f"{each.describe()}, after {sorted(session.seen)}",), (each,))
        session.seen |= seen
    for shown in (final, *(each.result["seen"] for each in looks)):
        _judge_order(session, shown, findings)


def _judge_order(session: _Session, shown: Sequence[str], findings: Findings) -> None:
    """Judge a list that somebody saw: own writes in order, each after what its client had seen before."""
    position = {token: number for number, token in enumerate(shown)}
    for earlier, later in itertools.combinations(session.acknowledged, 2):
        if later in position and position.get(earlier, len(shown)) > position[later]:
            findings.add("own-writes-reordered", (f"{shown} has {later}, and {earlier} not before it",))
    for token, seen in session.seen_before.items():
        if token in position and any(position.get(each, len(shown)) > position[token] for each in seen):
            findings.add("cause-missing", (f"{shown} has {token}, and not before it all of {sorted(seen)}",))


CHECKER = "concerns"
GUARANTEE = "What is acknowledged stays; what is read is committed, the newest, and never taken back."

SCENARIO = Scenario(
    name="concerns",
    contract=GUARANTEE,
    section="read and write concerns",
    variants={"plain": PlainRegister, "snapshot": SnapshotRegister, "causal": CausalRegister},
    operations={"append": append, "look": look},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(Checker(name=CHECKER, guarantee=GUARANTEE, check=judge, needs_final=("tokens",)),),
    settings=("default",),
    faults=("none",),
)
