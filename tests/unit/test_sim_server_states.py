"""The state of the simulated servers in plain values: told apart by all that counts, and by nothing else."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from bson import Int64
from simulated_set import START_US, Choosing, SimulatedSet

from harness.sim.server.digests import entry_digest
from harness.sim.server.member import Member
from harness.sim.server.records import Change, CollectionData, Data, Index, OplogEntry, SessionRecord
from harness.sim.server.states import describe_set


def test_an_entry_is_told_apart_by_all_that_it_changed() -> None:
    """Entries have one digest where log and content are the same, and others for each difference."""
    first = SimulatedSet().replica_set.members["m1"].last

    def entry_of(previous: OplogEntry = first, **changes: Any) -> OplogEntry:
        told = {"kind": "insert", "namespace": "test.values", "key": {"_id": 1}, "document": {"_id": 1}, "uuid": 1}
        told.update({name: changes.pop(name) for name in ("document", "update", "kind") if name in changes})
        collection = CollectionData(uuid=1, indexes=changes.pop("indexes", ()))
        data = Data(collections={"test.values": collection}, sessions=changes.pop("sessions", {}))
        fields: dict[str, Any] = {"index": 2, "term": 1, "timestamp": 5, "wall_us": 6, **changes}
        return OplogEntry(data=data, changes=(Change(**told),), previous=previous, **fields)

    others = [
        entry_of(document={"_id": 1, "a": 1}),
        entry_of(document={"_id": 1, "a": Int64(1)}),
        entry_of(document={"_id": 1, "a": 1.0}),
        entry_of(update={"$inc": {"a": 1}}),
        entry_of(kind="replace"),
        entry_of(term=2),
        entry_of(timestamp=6),
        entry_of(wall_us=7),
        entry_of(at_us=1),
        entry_of(session="s"),
        entry_of(sessions={"s": SessionRecord(number=1)}),
        entry_of(sessions={"s": SessionRecord(number=1, statements={0: {"n": 1}})}),
        entry_of(indexes=(Index(name="a_1", keys=(("a", 1),)),)),
        entry_of(previous=entry_of()),
    ]
    digests = [entry_digest(entry) for entry in (entry_of(), *others)]
    assert entry_digest(entry_of()) == digests[0]
    assert len(set(digests)) == len(digests)


FOLLOWS = {
    "name": "the place in the list says which member it is",
    "followers": "follows from whom each member follows",
    "reporters": "follows from whom each member follows",
    "notice_timer": "is among the armed timers",
}
"""Fields of a member that its description leaves out, and why."""


def changed(member: Member, field: str, entry: Any) -> Any:
    """Return a value for the field that differs from the one that it has."""
    value = getattr(member, field)
    if field == "role":
        return "ROLLBACK"
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    others = {
        "known": deque([(START_US, entry)]),
        "observed_moment": (0, START_US),
        "committed_moment": (0, START_US),
        "ghosts": (("test.values", 1, {"_id": 1}),),
        "kept_sessions": entry.data,
        "step_down_timer": object(),
        "rollback_timer": object(),
        "source": member,
        "via": member,
        "hears": member,
    }
    return others.get(field, entry)


@pytest.mark.parametrize("field", sorted(set(Member.__slots__) - set(FOLLOWS)))
def test_every_field_of_a_member_is_told(field: str) -> None:
    """A change of any field of a member is a change of state, but for those that follow from others."""
    simulated = SimulatedSet()
    simulated({"insert": "values", "documents": [{"_id": 1}]})
    simulated.kernel.steps, simulated.kernel.now_us = 0, START_US
    member = simulated.replica_set.members["m2"]
    entry = simulated.replica_set.members["m1"].last
    before = describe_set(simulated.replica_set)
    setattr(member, field, changed(member, field, entry))
    assert describe_set(simulated.replica_set) != before


def test_who_takes_over_is_told() -> None:
    """After a planned step-down, what is under way says which secondary was chosen."""
    under_way = []
    for successor in ("m2", "m3"):
        simulated = SimulatedSet(strategy=Choosing(successor=successor))
        simulated.run(simulated.replica_set.step_down("m1"))
        under_way.append([name for _, name in simulated.kernel.pending_timers()])
    assert under_way == [["handover to m2"], ["handover to m3"]]
