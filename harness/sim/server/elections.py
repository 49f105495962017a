"""Terms, votes and step-downs: who becomes primary, when, and who stops being it.

A member that hears of no primary for the election timeout runs; it wins where a majority that it reaches votes for it,
and a member votes once a term, for a candidate whose last entry is not behind its own. A new primary pulls what newer
entries reachable members hold, then writes a no-op in its term. A primary that reaches no majority for the election
timeout steps down, one that hears of a higher term at once. A secondary of higher priority than its primary runs after
a while, and again until it wins. Sources: src/mongo/db/repl/README.md; TLA+ RaftMongo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.sim.server import journal
from harness.sim.server.errors import CommandError, not_writable_primary
from harness.sim.server.member import Member

if TYPE_CHECKING:
    from harness.sim.kernel.loop import Timer
    from harness.sim.server.replica_set import ReplicaSet

HANDOVER_US: Final = 40_000
"""From a planned step-down to the new primary, as measured."""

_OFFSETS: Final = (("even", 0), ("late", 150_000), ("early", -150_000))
"""When an election comes, relative to the election timeout after the last sign of a primary: the random offset of 15 %
makes it later, a heartbeat that was due before the loss makes it earlier, before an isolated primary steps down."""


class Elections:
    """Makes and unmakes primaries."""

    def __init__(self, replica_set: ReplicaSet) -> None:
        self._set = replica_set
        self._kernel = replica_set.kernel
        self._timeout_us = replica_set.configuration.election_timeout_us
        self._majority = replica_set.configuration.majority
        self._defects = replica_set.configuration.defects
        self._timer: Timer | None = None
        self._handover: Timer | None = None
        self._takeover: Timer | None = None

    def describe(self) -> tuple[Any, ...]:
        """Return what is under way as plain values."""
        return (self._timer is not None, self._handover is not None, self._takeover is not None)

    # -- what follows from who reaches whom

    def spread_terms(self) -> None:
        """Let members that reach each other know the highest term; a primary of a lower one steps down."""
        members = self._set.in_order
        changed = True
        while changed:
            changed = False
            for one in members:
                for other in members:
                    if one.term < other.term and (self._set.linked(one, other) or self._set.linked(other, one)):
                        one.term = other.term
                        changed = True
        newest = {member.name: member.term for member in members}
        for member in members:
            if member.role == "PRIMARY" and member.running and self._is_outdated(member, newest[member.name]):
                self.step_down(member)

    def _is_outdated(self, member: Member, term: int) -> bool:
        return member.last.term < term and not self._defects.step_down_keeps_writing

    def arm(self) -> None:
        """Set and take back the timers of step-downs and of the next election."""
        for member in self._set.in_order:
            if member.role == "PRIMARY" and member.running and self._lacks_majority(member):
                if member.step_down_timer is None:
                    at_us = self._kernel.now_us + self._timeout_us
                    member.step_down_timer = self._set.call_at(at_us, f"{member.name} steps down", self._lose, member)
            else:
                _cancel(member.step_down_timer)
                member.step_down_timer = None
        self._arm_election()
        self._arm_takeover()

    def _lacks_majority(self, primary: Member) -> bool:
        if self._defects.step_down_keeps_writing:
            return False
        alive = sum(
            member is primary or member.hears is primary or self._set.linked(primary, member)
            for member in self._set.in_order
        )
        return alive < self._majority

    def _lose(self, primary: Member) -> None:
        primary.step_down_timer = None
        self._set.change(lambda: self.step_down(primary))

    def step_down(self, member: Member) -> None:
        """Make a primary a secondary: its open transactions die, and what waits there is interrupted."""
        member.role = "SECONDARY"
        member.ceiling = member.last
        member.commit_ceiling = member.commit
        member.stepping_down = False
        member.epoch += 1
        self._set.invariants.note_roles()

    # -- elections

    def _arm_election(self) -> None:
        contenders = [] if self._handover is not None else self._contenders()
        if not contenders:
            _cancel(self._timer)
            self._timer = None
        elif self._timer is None:
            labels = tuple(label for label, _ in _OFFSETS)
            offset_us = _OFFSETS[self._kernel.choose("election", labels)][1]
            barred_us = min(member.election_barred_until_us for member in contenders)
            at_us = max(self._kernel.now_us + self._timeout_us + offset_us, barred_us)
            self._timer = self._set.call_at(at_us, "election", self._run)

    def _run(self) -> None:
        self._timer = None
        contenders = [member for member in self._contenders() if member.election_barred_until_us <= self._kernel.now_us]
        self._set.change(lambda: self._elect(contenders))

    def _contenders(self) -> list[Member]:
        """Return who hears of no primary and reaches a majority."""
        return [
            member
            for member in self._set.in_order
            if member.role == "SECONDARY"
            and member.running
            and not member.deaf
            and member.hears is None
            and len(self._voters(member)) >= self._majority
        ]

    def _arm_takeover(self) -> None:
        preferred = self._preferred()
        if preferred is None:
            _cancel(self._takeover)
            self._takeover = None
        elif self._takeover is None:
            rank = sum(other.priority > preferred.priority for other in self._set.in_order)
            at_us = self._kernel.now_us + self._timeout_us * (rank + 1)
            self._takeover = self._set.call_at(at_us, "priority takeover", self._run_preferred)

    def _preferred(self) -> Member | None:
        """Return the member of the highest priority that follows a primary of a lower one."""
        able = [
            member
            for member in self._set.in_order
            if member.role == "SECONDARY"
            and member.running
            and member.source is not None
            and member.priority > member.source.priority
            and len(self._voters(member)) >= self._majority
        ]
        return max(able, key=lambda member: member.priority, default=None)

    def _run_preferred(self) -> None:
        self._takeover = None
        preferred = self._preferred()
        able = [] if preferred is None else [preferred]
        self._set.change(lambda: self._elect(able))

    def _voters(self, candidate: Member) -> list[Member]:
        return [member for member in self._set.in_order if member is candidate or self._set.linked(candidate, member)]

    def _elect(self, contenders: list[Member]) -> None:
        voters = {candidate.name: self._voters(candidate) for candidate in contenders}
        asked = [member for member in self._set.in_order if any(member in group for group in voters.values())]
        for member in asked:
            self._set.replication.exact(member)
        winners = [
            candidate for candidate in contenders if self._votes(candidate, voters[candidate.name]) >= self._majority
        ]
        if not winners:
            return
        winners.sort(key=lambda member: member.last.position, reverse=True)
        chosen = winners.pop(self._kernel.choose("winner", [member.name for member in winners]))
        term = max(member.term for member in voters[chosen.name]) + 1
        self._win(chosen, voters[chosen.name], term)
        if winners and self._defects.votes_twice:
            self._win(winners[0], voters[winners[0].name], term)

    def _votes(self, candidate: Member, voters: list[Member]) -> int:
        if self._defects.candidate_behind_elected:
            return len(voters)
        return sum(member.last.position <= candidate.last.position for member in voters)

    def _win(self, winner: Member, voters: list[Member], term: int) -> None:
        for member in voters:
            self._set.clocks.note(winner, self._set.clocks.now(member))
            member.term = term
            if member is not winner and member.role == "PRIMARY" and not self._defects.votes_twice:
                self.step_down(member)
        if not self._defects.no_catch_up:
            self._catch_up(winner, voters)
        self._set.commits.known(winner)
        data = self._set.applied(winner).data
        winner.ghosts, winner.kept_sessions = (), None
        winner.role = "PRIMARY"
        winner.epoch += 1
        winner.source = winner.via = winner.hears = None
        journal.note_applied(winner, winner.last, self._kernel.now_us, self._set.configuration.journal_interval_us)
        self._set.write(winner, data, ())
        self._set.invariants.elected(winner)

    def _catch_up(self, winner: Member, voters: list[Member]) -> None:
        if winner.lagged:
            return
        ahead = [
            member
            for member in voters
            if member.role == "SECONDARY"
            and member.last.position > winner.last.position
            and member.last.holds(winner.last)
        ]
        if not ahead:
            return
        newest = max(ahead, key=lambda member: member.last.position)
        if self._kernel.choose("catch-up", ("complete", "none")) == 0:
            self._set.replication.raise_floor(winner, newest.last)
            winner.ceiling = winner.last

    # -- planned step-downs

    async def hand_over(self, member: Member, *, barred_us: int, catch_up_us: int, force: bool) -> None:
        """``replSetStepDown``: wait for a majority and an electable secondary to catch up, then let one take over.

        With ``force`` the member steps down at the end of ``catch_up_us`` all the same. Raises CommandError 10107 on a
        member that is not primary, 262 where nobody caught up in time.
        """
        if not member.is_primary:
            raise not_writable_primary()
        deadline_us = self._kernel.now_us + catch_up_us
        epoch = member.epoch
        member.stepping_down = not self._defects.no_catch_up
        try:
            while not self._can_take_over(member) and self._kernel.now_us < deadline_us:
                await self._set.wait(member, deadline_us)
                if member.epoch != epoch:
                    raise not_writable_primary()
        finally:
            member.stepping_down = False
        if not self._can_take_over(member) and not force:
            message = "No electable secondaries caught up as of the end of secondaryCatchUpPeriodSecs"
            raise CommandError(262, "ExceededTimeLimit", message)
        self._set.change(lambda: self._leave_office(member, barred_us))

    def _can_take_over(self, member: Member) -> bool:
        return self._defects.no_catch_up or len(self._caught_up(member)) + 1 >= self._majority

    def _caught_up(self, member: Member) -> list[Member]:
        lagged = [other for other in member.reporters if other.ceiling is member.last]
        return [*member.followers, *lagged]

    def _leave_office(self, member: Member, barred_us: int) -> None:
        able = self._caught_up(member)
        handed_over = bool(able) and self._can_take_over(member)
        if handed_over:
            successor = able[self._kernel.choose("successor", [other.name for other in able])]
            if not self._defects.no_catch_up:
                self._set.replication.raise_floor(successor, member.last)
                others = tuple(able)
                self._set.replication.quorums.require(member.last, self._majority - 1, others, journaled=False)
            at_us = self._kernel.now_us + HANDOVER_US
            self._handover = self._set.call_at(at_us, f"handover to {successor.name}", self._take_over, successor)
        member.election_barred_until_us = self._kernel.now_us + barred_us
        self.step_down(member)

    def _take_over(self, successor: Member) -> None:
        self._handover = None
        able = [successor] if successor in self._contenders() else []
        self._set.change(lambda: self._elect(able))


def _cancel(timer: Timer | None) -> None:
    if timer is not None:
        timer.cancel()
