"""Faults by hand: one line, one order to the set, as ``kill m1`` or ``partition-primary``.

An order returns the words that it is answered with. Who types a word that there is not gets the near ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from harness.errors import UsageError, unknown_name
from harness.interfaces.backend import MemberState, primary_of
from harness.interfaces.link import Link
from harness.sim.kernel.loop import US_PER_SECOND

QUIT: Final = "quit"
PRIMARY: Final = "primary"
CLIENTS: Final = "clients"


class Powers(Protocol):
    """What orders do to the set; each takes effect at once."""

    @property
    def members(self) -> tuple[str, ...]:
        """The names of the members."""
        ...

    def cut(self, links: Iterable[Link]) -> None:
        """Cut links between members, or from clients to members."""
        ...

    def heal_all(self) -> None:
        """Let all links carry again."""
        ...

    def kill(self, member: str) -> None:
        """End a member's process at once (kill -9)."""
        ...

    def restart(self, member: str) -> None:
        """Start a killed member again."""
        ...

    def pause(self, member: str) -> None:
        """Stop a member's process (SIGSTOP)."""
        ...

    def resume(self, member: str) -> None:
        """Let a paused member go on (SIGCONT)."""
        ...

    async def step_down(self) -> str:
        """Let the primary step down as planned; return in words what came of it."""
        ...

    def lag(self, member: str, *, on: bool) -> None:
        """Keep a member from replicating, or no more."""
        ...

    def set_skew(self, member: str, skew_us: int) -> None:
        """Set how far a member's clock is ahead, in microseconds."""
        ...

    def observe(self) -> tuple[MemberState, ...]:
        """Return the members as an observer sees them."""
        ...

    def condition(self, member: str) -> str:
        """Return in words what is being done to a member; empty for nothing."""
        ...


@dataclass(frozen=True, slots=True)
class _Verb:
    """A word, what follows it, what it does in words, and what does it."""

    word: str
    arguments: tuple[str, ...]
    what: str
    act: Callable[[Powers, Sequence[str]], Awaitable[str]]

    @property
    def usage(self) -> str:
        """The line as it is typed."""
        return " ".join((self.word, *self.arguments))


async def obey(powers: Powers, line: str) -> str:
    """Do what a line says and return the answer in words. Raises UsageError for what is no order."""
    word, *arguments = line.split()
    verb = _VERBS.get(word.lower())
    if verb is None:
        raise unknown_name("order", word, (*_VERBS, QUIT))
    if len(arguments) != len(verb.arguments):
        raise UsageError(f"{line.strip()!r} is not how {word} is typed", next_step=f"type: {verb.usage}")
    return await verb.act(powers, arguments)


def _member(powers: Powers, name: str) -> str:
    if name == PRIMARY:
        return _primary(powers)
    if name not in powers.members:
        raise unknown_name("member", name, (*powers.members, PRIMARY))
    return name


def _primary(powers: Powers) -> str:
    primary = primary_of(powers.observe())
    if primary is None:
        raise UsageError("no member is primary now", next_step="wait for an election, see `status`")
    return primary.member


async def _partition_primary(powers: Powers, arguments: Sequence[str]) -> str:  # noqa: ARG001 - a verb
    primary = _primary(powers)
    others = [member for member in powers.members if member != primary]
    powers.cut([*(Link(primary, other) for other in others), *(Link(other, primary) for other in others)])
    return f"{primary} is cut off from {', '.join(others)}, both ways; clients reach every member"


async def _partition_clients(powers: Powers, arguments: Sequence[str]) -> str:  # noqa: ARG001 - a verb
    primary = _primary(powers)
    powers.cut([Link(CLIENTS, primary)])
    return f"clients are cut off from {primary}; members reach each other"


async def _cut(powers: Powers, arguments: Sequence[str]) -> str:
    source = CLIENTS if arguments[0] == CLIENTS else _member(powers, arguments[0])
    destination = _member(powers, arguments[1])
    if source == destination:
        raise UsageError(f"{source} has no link to itself", next_step="type: cut SOURCE MEMBER")
    powers.cut([Link(source, destination)])
    return f"what {source} sends to {destination} is lost"


async def _heal(powers: Powers, arguments: Sequence[str]) -> str:  # noqa: ARG001 - a verb
    powers.heal_all()
    return "every link carries again"


async def _kill(powers: Powers, arguments: Sequence[str]) -> str:
    member = _member(powers, arguments[0])
    if powers.condition(member) == "killed":
        raise UsageError(f"{member} is dead already", next_step=f"type: restart {member}")
    powers.kill(member)
    return f"{member} is killed"


async def _restart(powers: Powers, arguments: Sequence[str]) -> str:
    member = _member(powers, arguments[0])
    if powers.condition(member) != "killed":
        raise UsageError(f"{member} was not killed", next_step=f"type: kill {member}")
    powers.restart(member)
    return f"{member} starts again"


async def _pause(powers: Powers, arguments: Sequence[str]) -> str:
    member = _member(powers, arguments[0])
    if powers.condition(member) in {"killed", "paused"}:
        raise UsageError(f"{member} is {powers.condition(member)} already", next_step="see `status`")
    powers.pause(member)
    return f"{member} is paused; its clients hang"


async def _resume(powers: Powers, arguments: Sequence[str]) -> str:
    member = _member(powers, arguments[0])
    if powers.condition(member) != "paused":
        raise UsageError(f"{member} is not paused", next_step=f"type: pause {member}")
    powers.resume(member)
    return f"{member} goes on"


async def _step_down(powers: Powers, arguments: Sequence[str]) -> str:  # noqa: ARG001 - a verb
    return await powers.step_down()


async def _lag(powers: Powers, arguments: Sequence[str]) -> str:
    member = _member(powers, arguments[0])
    powers.lag(member, on=True)
    return f"{member} replicates no more"


async def _catch_up(powers: Powers, arguments: Sequence[str]) -> str:
    member = _member(powers, arguments[0])
    powers.lag(member, on=False)
    return f"{member} replicates again"


async def _skew(powers: Powers, arguments: Sequence[str]) -> str:
    member = _member(powers, arguments[0])
    try:
        skew_us = round(float(arguments[1]) * US_PER_SECOND)
    except (ValueError, OverflowError):
        raise UsageError(f"{arguments[1]} is no number of seconds", next_step="type: skew m2 60") from None
    powers.set_skew(member, skew_us)
    return f"the clock of {member} is {skew_us / US_PER_SECOND:g} s off"


async def _status(powers: Powers, arguments: Sequence[str]) -> str:  # noqa: ARG001 - a verb
    return "\n".join(_status_line(powers, state) for state in powers.observe())


def _status_line(powers: Powers, state: MemberState) -> str:
    words = [state.role or "no answer"]
    if state.term is not None:
        words.append(f"term {state.term}")
    if state.applied is not None:
        term, seconds, increment = state.applied
        words.append(f"applied {term}:{seconds}:{increment}")
    if state.rollback_id is not None and state.rollback_id > 1:
        words.append(f"rolled back {state.rollback_id - 1} times")
    if condition := powers.condition(state.member):
        words.append(condition)
    return f"{state.member}  {', '.join(words)}"


async def _help(powers: Powers, arguments: Sequence[str]) -> str:  # noqa: ARG001 - a verb
    width = max(len(verb.usage) for verb in _VERBS.values())
    lines = [f"{verb.usage:<{width}}  {verb.what}" for verb in _VERBS.values()]
    return "\n".join((*lines, f"{QUIT:<{width}}  end", f"MEMBER is one of {', '.join(powers.members)}, or {PRIMARY}"))


_VERBS: Final = {
    verb.word: verb
    for verb in (
        _Verb("partition-primary", (), "cut the primary off from the other members", _partition_primary),
        _Verb("partition-clients", (), "cut clients off from the primary", _partition_clients),
        _Verb("cut", ("SOURCE", "MEMBER"), "cut one link; SOURCE is a member, or clients", _cut),
        _Verb("heal", (), "let every link carry again", _heal),
        _Verb("kill", ("MEMBER",), "end a member at once (kill -9)", _kill),
        _Verb("restart", ("MEMBER",), "start a killed member again", _restart),
        _Verb("pause", ("MEMBER",), "stop a member (SIGSTOP)", _pause),
        _Verb("resume", ("MEMBER",), "let a paused member go on", _resume),
        _Verb("stepdown", (), "let the primary step down as planned", _step_down),
        _Verb("lag", ("MEMBER",), "keep a member from replicating", _lag),
        _Verb("catch-up", ("MEMBER",), "let it replicate again", _catch_up),
        _Verb("skew", ("MEMBER", "SECONDS"), "set a member's clock ahead, or behind with a minus", _skew),
        _Verb("status", (), "tell what every member is", _status),
        _Verb("help", (), "list the orders", _help),
    )
}
