"""The TTL monitor: a pass at intervals, in which each primary removes what its TTL indexes say is expired."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Final

from harness.sim.documents.paths import matched_values, split
from harness.sim.server.commands.delete import removing
from harness.sim.server.records import CollectionData, Data, Document, IdKey, Index

if TYPE_CHECKING:
    from harness.sim.kernel.loop import Timer
    from harness.sim.server.commands.context import Service
    from harness.sim.server.member import Member

_TIMER: Final = "TTL monitor"
_A_LONG_TIME_DAYS: Final = 10_000


class TtlMonitor:
    """Runs from when there is a TTL index. Between two passes, what is expired stays readable."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._timer: Timer | None = None
        service.on_ttl_index = self._arm
        data = service.replica_set.in_order[0].last.data
        if any(index.expire_after_seconds is not None for each in data.collections.values() for index in each.indexes):
            self._arm()

    def _arm(self) -> None:
        if self._timer is None or not self._timer.pending:
            at_us = self._service.kernel.now_us + self._service.configuration.ttl_interval_us
            self._timer = self._service.replica_set.call_at(at_us, _TIMER, self._pass)

    def _pass(self) -> None:
        for member in self._service.replica_set.in_order:
            if member.is_primary and member.running:
                self._pass_on(member)
        self._arm()

    def _pass_on(self, member: Member) -> None:
        now = self._service.now(member)
        for namespace, collection in member.last.data.collections.items():
            for index in collection.indexes:
                if index.expire_after_seconds is not None:
                    self._remove_expired(member, namespace, index, now)

    def _remove_expired(self, member: Member, namespace: str, index: Index, now: datetime.datetime) -> None:
        collection = member.last.data.collections[namespace]
        lifetime_s = index.expire_after_seconds or 0
        limit = now - datetime.timedelta(seconds=lifetime_s)
        if self._service.defects.ttl_deletes_unexpired:
            limit = now + datetime.timedelta(days=_A_LONG_TIME_DAYS)
        claims = self._service.state(member).claims
        for key, document in collection.documents.items():
            if _expired(document, index, limit) and (namespace, "", key) not in claims:
                self._remove(member, namespace, key, document)

    def _remove(self, member: Member, namespace: str, key: IdKey, document: Document) -> None:
        data = member.last.data
        present: CollectionData = data.collections[namespace]
        effect = removing(namespace, present, key, document)
        assert effect.collection is not None
        after = Data(collections={**data.collections, namespace: effect.collection}, sessions=data.sessions)
        self._service.replica_set.append(member, after, effect.changes)


def _expired(document: Document, index: Index, limit: datetime.datetime) -> bool:
    """Return whether the earliest date of the indexed field lies before ``limit``; other values never expire."""
    covers = index.definition.covers
    if covers is not None and not covers(document):
        return False
    values = matched_values(document, split(index.keys[0][0]))
    dates = [value for value in values if type(value) is datetime.datetime]
    return bool(dates) and min(dates) < limit
