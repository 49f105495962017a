"""The faults of the simulator: each the twin of a fault on real servers, with the same name, targets and effect rules.

A strike is aimed (who is struck, a choice of the run), injected, looked at by an observer that is not its injector, and
healed. The rules that say what counts as an effect are those of the real faults (:mod:`harness.faults.effects`), fed
with what the simulated members say of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from harness.errors import FaultError, UsageError
from harness.facts import Effect
from harness.faults import effects as rules
from harness.faults.catalogue import FAULTS, parse_faults
from harness.faults.failpoints import FailPoint
from harness.faults.partitions import bridge, halves, in_words, isolate, one_way, ring
from harness.faults.targets import client_links, links_of
from harness.interfaces.backend import MemberState, primary_of
from harness.interfaces.link import Link
from harness.sim.kernel import Kernel
from harness.sim.kernel.loop import US_PER_SECOND
from harness.sim.server.commands.fail_points import TRANSACTIONAL_WRITE
from harness.sim.server.configuration import OBSERVER
from harness.sim.server.network import Dispatch, Network
from harness.sim.server.replica_set import ReplicaSet
from harness.sim.server.topology import Disturbance, DisturbanceKind

Moment = Literal["request", "reply"]
"""Before a command reaches its member, or after it ran and before its answer leaves."""


FAILS = 1
"""A command that meets a failpoint fails by default: the strike itself is what the run has chosen."""
MOMENT_US = 20_000
"""How long a strike counts as on that is over with one message."""


@dataclass(kw_only=True)
class Stage:
    """What a strike may touch and ask."""

    kernel: Kernel
    replica_set: ReplicaSet
    network: Network
    dispatch: Dispatch
    groups: tuple[str, ...]
    now_ns: Callable[[], int]
    arm_crash: Callable[[str], int | None]
    """Let the client of a task die at its next answer; return its number, None where the task is no client."""
    crashes: Callable[[], int]

    def admin(self, member: str, command: dict[str, Any]) -> Mapping[str, Any]:
        """Return a member's reply to a command that does not wait, sent past all links."""
        running = self.dispatch(self.replica_set.members[member], command, 0)
        try:
            running.send(None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        running.close()
        raise FaultError(f"the command {next(iter(command))} of a fault did not end at once on {member}")

    @property
    def members(self) -> tuple[str, ...]:
        """The names of the members."""
        return tuple(self.replica_set.members)

    def states(self) -> tuple[MemberState, ...]:
        """Return what an observer sees of the members."""
        return self.replica_set.observe()

    def pick(self, what: str, options: Sequence[str]) -> str:
        """Choose a target; the first is the default."""
        return options[self.kernel.choose(what, tuple(options))]


@dataclass(kw_only=True)
class Aim:
    """Who is struck, and what the strike must remember."""

    targets: tuple[str, ...]
    before: tuple[MemberState, ...]
    memory: dict[str, Any] = field(default_factory=dict)


Inject = Callable[[Stage, Aim], None]
Observe = Callable[[Stage, Aim], "Effect | None"]


@dataclass(frozen=True, kw_only=True)
class Twin:
    """One simulated fault. ``aim`` returns None where there is nobody to strike."""

    name: str
    aim: Callable[[Stage, str], Aim | None]
    """Called with the member that the command under way is for."""
    inject: Inject
    observe: Observe
    heal: Inject
    each: Callable[[Stage, str, Mapping[str, Any]], None] | None = None
    """Called with member and command of every request while it is on."""
    moments: tuple[Moment, ...] = ("request", "reply")
    hold_us: int = 5 * US_PER_SECOND
    """How long it is held in virtual time."""


def _partition(name: str, grudge: Callable[[Stage, str], tuple[Link, ...]], rule: Any) -> Twin:
    def aim(stage: Stage, _member: str) -> Aim | None:
        before = stage.states()
        primary = primary_of(before)
        if primary is None:
            return None
        cut = grudge(stage, primary.member)
        return Aim(targets=in_words(cut), before=before, memory={"cut": cut})

    return Twin(
        name=name,
        aim=aim,
        inject=lambda stage, aimed: stage.replica_set.cut(aimed.memory["cut"]),
        observe=lambda stage, aimed: rule(aimed.before, stage.states(), aimed.memory["cut"], stage.now_ns()),
        heal=lambda stage, aimed: stage.replica_set.heal(aimed.memory["cut"]),
    )


def _ordered(stage: Stage) -> list[str]:
    """Return the members in an order whose beginning the run chooses."""
    members = stage.members
    first = members.index(stage.pick("member", members))
    return [*members[first:], *members[:first]]


def _one_way(stage: Stage, primary: str) -> tuple[Link, ...]:
    silenced = stage.pick("direction", ("from", "to")) == "from"
    return one_way(stage.members, primary, silenced=silenced)


def _clients_cut(stage: Stage, _member: str) -> Aim | None:
    before = stage.states()
    primary = primary_of(before)
    if primary is None:
        return None
    cut = client_links(primary.member, stage.groups)
    targets = tuple(f"{link.source}→{link.destination}" for link in cut)
    return Aim(targets=targets, before=before, memory={"cut": cut})


def _unanswered(stage: Stage, aimed: Aim) -> Effect | None:
    cut = aimed.memory["cut"]
    silent = [link for link in cut if stage.network.hello(link.source, link.destination) is None]
    if not silent or stage.network.hello(OBSERVER, cut[0].destination) is None:
        return None
    return Effect(
        observer=rules.PROBE,
        description=f"{silent[0].destination} did not answer a hello of {silent[0].source}, and answers a direct one",
        time_ns=stage.now_ns(),
    )


def _split(stage: Stage, _member: str) -> Aim | None:
    before = stage.states()
    primary = primary_of(before)
    if primary is None:
        return None
    apart = isolate(stage.members, primary.member)
    others = [member for member in stage.members if member != primary.member]
    stale = tuple(Link(group, other) for group in stage.groups[::2] for other in others)
    cut = (*apart, *stale, *client_links(primary.member, stage.groups[1::2]))
    return Aim(targets=(primary.member, *stage.groups[::2]), before=before, memory={"cut": cut, "apart": apart})


def _victims(
    name: str,
    choose: Callable[[Stage, str], tuple[str, ...]],
    rule: Any,
    action: Literal["kill", "pause"] = "kill",
) -> Twin:
    def aim(stage: Stage, _member: str) -> Aim | None:
        before = stage.states()
        primary = primary_of(before)
        if primary is None:
            return None
        victims = choose(stage, primary.member)
        return Aim(targets=victims, before=before) if victims else None

    def inject(stage: Stage, aimed: Aim) -> None:
        for victim in aimed.targets:
            getattr(stage.replica_set, action)(victim)

    def heal(stage: Stage, aimed: Aim) -> None:
        for victim in aimed.targets:
            getattr(stage.replica_set, "restart" if action == "kill" else "resume")(victim)

    return Twin(
        name=name,
        aim=aim,
        inject=inject,
        observe=lambda stage, aimed: rule(aimed.before, stage.states(), aimed.targets, stage.now_ns()),
        heal=heal,
        hold_us=3 * US_PER_SECOND,
    )


def _of_one(rule: Any) -> Any:
    return lambda before, after, victims, time_ns: rule(before, after, victims[0], time_ns)


def _secondary(stage: Stage, primary: str) -> tuple[str, ...]:
    up = tuple(s.member for s in stage.states() if s.reachable and s.member != primary)
    return (stage.pick("member", up),) if up else ()


def _majority(stage: Stage, primary: str) -> tuple[str, ...]:
    others = [member for member in _ordered(stage) if member != primary]
    return (primary, *others[: len(stage.members) // 2])


def _stepdown(stage: Stage, _member: str) -> Aim | None:
    before = stage.states()
    primary = primary_of(before)
    return Aim(targets=(primary.member,), before=before) if primary else None


def _step_down(stage: Stage, aimed: Aim) -> None:
    stage.kernel.spawn("stepdown", stage.replica_set.step_down(aimed.targets[0]), vital=False)


def _nothing(_stage: Stage, _aimed: Aim) -> None:
    """Have nothing to undo."""


def _lag(stage: Stage, _member: str) -> Aim | None:
    before = stage.states()
    primary = primary_of(before)
    if primary is None:
        return None
    victims = _secondary(stage, primary.member)
    if not victims:
        return None
    samples = [rules.Sample(time_ns=stage.now_ns(), states=before)]
    return Aim(targets=victims, before=before, memory={"samples": samples})


def _lagging(stage: Stage, aimed: Aim) -> Effect | None:
    samples = aimed.memory["samples"]
    samples.append(rules.Sample(time_ns=stage.now_ns(), states=stage.states()))
    return rules.held_back(samples, aimed.targets[0], 1)


def _disturbance(name: str, kind: DisturbanceKind, delay_us: int = 0) -> Twin:
    def aim(stage: Stage, _member: str) -> Aim | None:
        before = stage.states()
        primary = primary_of(before)
        if primary is None:
            return None
        links = links_of(primary.member, stage.members, stage.groups)
        disturbance = Disturbance(kind=kind, delay_us=delay_us)
        return Aim(targets=(primary.member,), before=before, memory={"links": links, "disturbance": disturbance})

    return Twin(
        name=name,
        aim=aim,
        inject=lambda stage, aimed: stage.replica_set.disturb(aimed.memory["links"], aimed.memory["disturbance"]),
        observe=lambda stage, aimed: _struck(stage, aimed, name),
        heal=lambda stage, aimed: stage.replica_set.undisturb(aimed.memory["links"]),
        hold_us=3 * US_PER_SECOND,
    )


def _struck(stage: Stage, aimed: Aim, name: str) -> Effect | None:
    disturbance: Disturbance = aimed.memory["disturbance"]
    if not disturbance.struck:
        return None
    return Effect(
        observer=rules.LINK_COUNTERS,
        description=f"{disturbance.struck} messages on the links of {aimed.targets[0]} met with {name}",
        time_ns=stage.now_ns(),
    )


def _drop_one_way(stage: Stage, _member: str) -> Aim | None:
    before = stage.states()
    primary = primary_of(before)
    if primary is None:
        return None
    others = [member for member in stage.members if member != primary.member]
    own = tuple(Link(primary.member, other) for other in others)
    theirs = tuple(Link(other, primary.member) for other in others)
    outbound = stage.pick("direction", ("from", "to")) == "from"
    kinds: tuple[DisturbanceKind, DisturbanceKind] = (
        ("drop-request", "drop-reply") if outbound else ("drop-reply", "drop-request")
    )
    dropped = ((own, Disturbance(kind=kinds[0])), (theirs, Disturbance(kind=kinds[1])))
    what = "what it sends" if outbound else "what it is sent"
    return Aim(
        targets=(f"{primary.member}: {what}",), before=before, memory={"dropped": dropped, "links": (*own, *theirs)}
    )


def _drop(stage: Stage, aimed: Aim) -> None:
    for links, disturbance in aimed.memory["dropped"]:
        stage.replica_set.disturb(links, disturbance)


def _lost_reply(stage: Stage, member: str) -> Aim | None:
    disturbance = Disturbance(kind="lose-reply", remaining=1)
    links = client_links(member, stage.groups)
    return Aim(targets=(member,), before=stage.states(), memory={"links": links, "disturbance": disturbance})


def _reply_lost(stage: Stage, aimed: Aim) -> Effect | None:
    if not aimed.memory["disturbance"].struck:
        return None
    text = f"{aimed.targets[0]} did what it was asked, and its answer never arrived"
    return Effect(observer=rules.LINK_COUNTERS, description=text, time_ns=stage.now_ns())


def _crash(stage: Stage, _member: str) -> Aim | None:
    client = stage.arm_crash(stage.kernel.current.name)
    if client is None:
        return None
    return Aim(targets=(f"client {client}",), before=(), memory={"client": client, "crashes": stage.crashes()})


def _crashed(stage: Stage, aimed: Aim) -> Effect | None:
    return rules.clients_died(aimed.memory["crashes"], stage.crashes(), aimed.memory["client"], stage.now_ns())


_TWINS = (
    _partition("partition-primary", lambda stage, primary: isolate(stage.members, primary), rules.primary_replaced),
    _partition("partition-majority", lambda stage, _: halves(_ordered(stage)), rules.members_cut),
    _partition("partition-ring", lambda stage, _: ring(_ordered(stage)), rules.members_cut),
    _partition("partition-bridge", lambda stage, _: bridge(_ordered(stage)), rules.members_cut),
    _partition("partition-one-way", _one_way, rules.members_cut_one_way),
    Twin(
        name="drop-one-way",
        aim=_drop_one_way,
        inject=_drop,
        observe=lambda stage, aimed: rules.members_cut(
            aimed.before, stage.states(), aimed.memory["links"], stage.now_ns()
        ),
        heal=lambda stage, aimed: stage.replica_set.undisturb(aimed.memory["links"]),
    ),
    Twin(
        name="partition-clients",
        aim=_clients_cut,
        inject=lambda stage, aimed: stage.replica_set.cut(aimed.memory["cut"]),
        observe=_unanswered,
        heal=lambda stage, aimed: stage.replica_set.heal(aimed.memory["cut"]),
        hold_us=3 * US_PER_SECOND,
    ),
    Twin(
        name="split-clients",
        aim=_split,
        inject=lambda stage, aimed: stage.replica_set.cut(aimed.memory["cut"]),
        observe=lambda stage, aimed: rules.primary_replaced(
            aimed.before, stage.states(), aimed.memory["apart"], stage.now_ns()
        ),
        heal=lambda stage, aimed: stage.replica_set.heal(aimed.memory["cut"]),
        hold_us=4 * US_PER_SECOND,
    ),
    _disturbance("latency", "delay", 250_000),
    _disturbance("bandwidth", "delay", 150_000),
    _disturbance("slice", "delay", 80_000),
    _disturbance("slow-close", "delay", 1_500_000),
    _disturbance("reset", "reset"),
    _disturbance("black-hole", "black-hole"),
    Twin(
        name="lost-reply",
        aim=_lost_reply,
        inject=lambda stage, aimed: stage.replica_set.disturb(aimed.memory["links"], aimed.memory["disturbance"]),
        observe=_reply_lost,
        heal=lambda stage, aimed: stage.replica_set.undisturb(aimed.memory["links"]),
        moments=("request",),
        hold_us=MOMENT_US,
    ),
    _victims("kill-primary", lambda _, primary: (primary,), _of_one(rules.primary_dead)),
    _victims("kill-secondary", _secondary, rules.members_dead),
    _victims("kill-majority", _majority, rules.majority_dead),
    _victims("kill-all", lambda stage, _: tuple(stage.members), rules.majority_dead),
    _victims("pause-primary", lambda _, primary: (primary,), _of_one(rules.primary_halted), action="pause"),
    Twin(
        name="stepdown",
        aim=_stepdown,
        inject=_step_down,
        observe=lambda stage, aimed: rules.handed_over(aimed.before, stage.states(), aimed.targets[0], stage.now_ns()),
        heal=_nothing,
        hold_us=2 * US_PER_SECOND,
    ),
    Twin(
        name="lag",
        aim=_lag,
        inject=lambda stage, aimed: stage.replica_set.lag(aimed.targets[0], on=True),
        observe=_lagging,
        heal=lambda stage, aimed: stage.replica_set.lag(aimed.targets[0], on=False),
    ),
    Twin(
        name="crash-client",
        aim=_crash,
        inject=_nothing,
        observe=_crashed,
        heal=_nothing,
        moments=("request",),
        hold_us=MOMENT_US,
    ),
)

TWINS: Mapping[str, Twin] = MappingProxyType({twin.name: twin for twin in _TWINS})
"""Every named fault of the catalogue."""


def twins_of(fault: str) -> tuple[Twin, ...]:
    """Return the twins of the faults written in ``fault``. Raises UsageError as ``--fault`` does."""
    return tuple(
        failpoint_twin(each) if isinstance(each, FailPoint) else TWINS[each.name] for each in parse_faults(fault)
    )


def failpoint_twin(fault: FailPoint) -> Twin:
    """Return the twin of ``failpoint:COMMAND:ERROR``: while it is on, each matching command fails or not by choice."""
    may_meet = _meets_transactional_write if fault.failpoint == TRANSACTIONAL_WRITE else _meets_any(fault)

    def aim(stage: Stage, _member: str) -> Aim | None:
        return Aim(targets=stage.members, before=(), memory={"hits": _switch_off(stage, fault.failpoint)})

    def each(stage: Stage, member: str, command: Mapping[str, Any]) -> None:
        if not may_meet(command):
            return
        fails = stage.kernel.choose("failpoint", ("passes", "fails"), FAILS)
        mode: Any = {"times": 1} if fails else "off"
        order = {"configureFailPoint": fault.failpoint, "$db": "admin", "mode": mode, "data": dict(fault.data)}
        stage.admin(member, order)

    def observe(stage: Stage, aimed: Aim) -> Effect | None:
        hits = _switch_off(stage, fault.failpoint)
        return rules.failpoint_hits(aimed.memory["hits"], hits, "the set", fault.summary, stage.now_ns())

    def heal(stage: Stage, _aimed: Aim) -> None:
        _switch_off(stage, fault.failpoint)

    return Twin(
        name=fault.name,
        aim=aim,
        inject=_nothing,
        observe=observe,
        heal=heal,
        each=each,
        moments=("request",),
        hold_us=3 * US_PER_SECOND,
    )


def _meets_any(fault: FailPoint) -> Callable[[Mapping[str, Any]], bool]:
    commands = frozenset(fault.data["failCommands"])
    return lambda command: next(iter(command)) in commands


def _meets_transactional_write(command: Mapping[str, Any]) -> bool:
    """Whether a command is one that mongod's failpoint looks at: a retryable write, or the commit of a transaction."""
    return "txnNumber" in command and (command.get("autocommit") is not False or "commitTransaction" in command)


def _switch_off(stage: Stage, failpoint: str) -> int:
    """Turn the failpoint off on every member; return how often it has struck on all of them."""
    order = {"configureFailPoint": failpoint, "$db": "admin", "mode": "off"}
    return sum(int(stage.admin(member, order).get("count", 0)) for member in stage.members)


def check_twins() -> None:
    """Raise UsageError where a named fault has no twin."""
    missing = sorted(set(FAULTS) - set(TWINS))
    if missing:
        raise UsageError(f"the simulator has no twin of {', '.join(missing)}")
