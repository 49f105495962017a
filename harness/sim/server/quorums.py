"""Facts that acknowledgements prove: so many of these members hold an entry, whichever they are.

An acknowledgement by a majority does not say which members make it. So none is chosen when it is given: the fact is
kept, and holds back every later choice of what a member has. Of a fact that is kept, any single member may still be
without the entry; as soon as every one of them is needed, they all have it, and the fact is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from harness.sim.server.digests import entry_digest
from harness.sim.server.member import Member
from harness.sim.server.records import OplogEntry

_FACTS_LIMIT: Final = 16


class Quorum:
    """At least ``need`` of ``candidates`` hold ``entry``: have applied it, or with ``journaled`` have it on disk."""

    __slots__ = ("candidates", "entry", "journaled", "need", "untouched")

    def __init__(self, entry: OplogEntry, need: int, candidates: tuple[Member, ...], *, journaled: bool) -> None:
        self.entry = entry
        self.need = need
        self.candidates = candidates
        self.journaled = journaled
        self.untouched = True
        """Whether all who were candidates still are, so that a newer entry may take the place of this one."""


class Quorums:
    """The facts that are open. ``raise_floor`` is called with a member that must hold an entry."""

    def __init__(self, raise_floor: Callable[[Member, OplogEntry], None]) -> None:
        self._raise_floor = raise_floor
        self._open: list[Quorum] = []

    def require(self, entry: OplogEntry, need: int, candidates: tuple[Member, ...], *, journaled: bool) -> None:
        """Take notice that ``need`` of ``candidates`` hold ``entry``."""
        for quorum in self._open:
            if (
                quorum.candidates is candidates
                and quorum.need == need
                and quorum.journaled is journaled
                and quorum.untouched
            ):
                if quorum.entry.index < entry.index:
                    quorum.entry = entry
                return
        if need > 0:
            self._add(Quorum(entry, need, candidates, journaled=journaled))

    def _add(self, new: Quorum) -> None:
        self.count_flushed()
        if any(_implies(quorum, new) for quorum in self._open):
            return
        self._open = [quorum for quorum in self._open if not _implies(new, quorum)]
        self._open.append(new)
        self._settle(new)
        if len(self._open) > _FACTS_LIMIT:
            oldest = self._open[0]
            oldest.candidates = oldest.candidates[: oldest.need]
            self._settle(oldest)

    def describe(self, members: Sequence[Member]) -> tuple[Any, ...]:
        """Return the open facts as plain values."""
        return tuple(
            [
                (
                    entry_digest(quorum.entry),
                    quorum.need,
                    tuple([member.name for member in quorum.candidates]),
                    quorum.journaled,
                    quorum.untouched and any(quorum.candidates is member.followers for member in members),
                )
                for quorum in self._open
            ]
        )

    def count_flushed(self) -> None:
        """Take notice of what members have on disk by now."""
        for quorum in tuple(self._open):
            if quorum.journaled:
                for member in quorum.candidates:
                    if member.durable.index >= quorum.entry.index:
                        self._leave(quorum, member, counted=True)

    def placed(
        self, member: Member, before: OplogEntry, now: OplogEntry, *, exact: bool, on_disk: bool = False
    ) -> None:
        """Take notice that a member, known to hold ``before``, holds ``now``; with ``exact`` nothing beyond.

        ``on_disk`` says that all of it is in its journal, as after a restart.
        """
        if not self._open:
            return
        for quorum in tuple(self._open):
            if member not in quorum.candidates or (quorum.entry.index <= before.index and not on_disk):
                continue
            if quorum.entry.index <= now.index:
                if on_disk or not quorum.journaled:
                    self._leave(quorum, member, counted=True)
            elif exact:
                self._leave(quorum, member, counted=False)

    def crashed(self, member: Member) -> None:
        """Take notice that a member may have lost what is not in its journal."""
        for quorum in tuple(self._open):
            if not quorum.journaled and member in quorum.candidates:
                self._leave(quorum, member, counted=True)

    def rolled_back(self, member: Member, common: OplogEntry) -> None:
        """Take notice that a member went back to ``common``."""
        for quorum in tuple(self._open):
            if member in quorum.candidates and not common.holds(quorum.entry):
                self._leave(quorum, member, counted=True)

    def _leave(self, quorum: Quorum, member: Member, *, counted: bool) -> None:
        quorum.candidates = tuple(other for other in quorum.candidates if other is not member)
        quorum.need -= counted
        quorum.untouched = False
        self._settle(quorum)

    def _settle(self, quorum: Quorum) -> None:
        if quorum.need > 0 and len(quorum.candidates) > quorum.need:
            return
        if quorum in self._open:
            self._open.remove(quorum)
        if quorum.need > 0:
            for member in quorum.candidates:
                self._raise_floor(member, quorum.entry)
                if quorum.journaled and member.durable.index < quorum.entry.index:
                    member.durable = quorum.entry


def _implies(new: Quorum, old: Quorum) -> bool:
    return (
        new.journaled >= old.journaled
        and new.need >= old.need
        and new.entry.index >= old.entry.index
        and new.entry.holds(old.entry)
        and all(member in old.candidates for member in new.candidates)
    )
