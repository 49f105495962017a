"""The determinism audit: seeds run again in a fresh process under another hash seed, and their digests compared.

What slips through the guard of the kernel, a set that is walked through or a function of the clock that was bound
before, shows here as a digest that differs; the first event that differs tells where.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from harness.errors import HarnessError
from harness.explore.source import Sampling
from harness.seed import stream

SHARE: Final = 0.05
"""The part of the seeds of a campaign that is audited."""

_HASH_SEEDS: Final = ("1", "2")
_TIMEOUT_S: Final = 600


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a fresh process is asked for."""

    sampling: Sampling
    seeds: tuple[int, ...]
    keep_events: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one seed gave there."""

    seed: int
    digest: str
    events: tuple[tuple[Any, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A seed whose digest differs, with the first event that does; None where only the record beside events differs."""

    seed: int
    expected: str
    digest: str
    position: int | None
    ours: tuple[Any, ...] | None
    theirs: tuple[Any, ...] | None
    repeatable_here: bool
    """Whether this process gave the expected digest when it was asked again."""

    def describe(self) -> str:
        """Return the difference in words."""
        text = f"seed {self.seed} is not deterministic: digest {self.expected} here, {self.digest} in a fresh process"
        if not self.repeatable_here:
            return f"{text}; run again here it differs too, so it depends on what ran before it"
        if self.position is None:
            return f"{text}; every choice is the same, what was recorded differs"
        return (
            f"{text}; event {self.position} is the first that differs: {_event_words(self.ours)} here, "
            f"{_event_words(self.theirs)} there"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditResult:
    """How many seeds were audited, and which differ."""

    audited: int
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Whether none differs."""
        return not self.differences


def is_audited(seed: int, share: float = SHARE) -> bool:
    """Whether a seed belongs to the part that is audited: a function of the seed alone."""
    return stream(seed, "audit").random() < share


def audit(sampling: Sampling, digests: Mapping[int, str], *, most_differences: int = 3) -> AuditResult:
    """Run the seeds of ``digests`` again in a fresh process and compare. Raises HarnessError if that process fails."""
    answers = _ask(Request(sampling=sampling, seeds=tuple(digests)))
    differing = [answer for answer in answers if answer.digest != digests[answer.seed]]
    return AuditResult(
        audited=len(answers),
        differences=tuple(_locate(sampling, digests, answer) for answer in differing[:most_differences]),
    )


def _locate(sampling: Sampling, digests: Mapping[int, str], answer: Answer) -> Difference:
    here = sampling.execute(answer.seed, keep_events=True)
    [there] = _ask(Request(sampling=sampling, seeds=(answer.seed,), keep_events=True))
    position = first_difference(here.events, there.events)
    return Difference(
        seed=answer.seed,
        expected=digests[answer.seed],
        digest=answer.digest,
        position=position,
        ours=_at(here.events, position),
        theirs=_at(there.events, position),
        repeatable_here=here.digest == digests[answer.seed],
    )


def first_difference(ours: Sequence[Sequence[Any]], theirs: Sequence[Sequence[Any]]) -> int | None:
    """Return the position of the first event that differs; a missing one does. None where all are the same."""
    for position, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if tuple(one) != tuple(other):
            return position
    return None if len(ours) == len(theirs) else min(len(ours), len(theirs))


def _at(events: Sequence[tuple[Any, ...]], position: int | None) -> tuple[Any, ...] | None:
    return events[position] if position is not None and position < len(events) else None


def _event_words(event: Sequence[Any] | None) -> str:
    if event is None:
        return "the end of the run"
    now_us, task, operation, kind, occurrence, label = event
    during = f" in operation {operation}" if operation else ""
    return f"{label!r} of {kind!r} (choice {occurrence + 1} of {task}{during}, at {now_us} us)"


def _ask(request: Request) -> tuple[Answer, ...]:
    own = os.environ.get("PYTHONHASHSEED")
    other = next(seed for seed in _HASH_SEEDS if seed != own)
    environment = {**os.environ, "PYTHONHASHSEED": other, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "harness.explore.audit"]
    done = subprocess.run(  # noqa: S603 - this interpreter, this module
        command,
        input=msgspec.json.encode(request),
        capture_output=True,
        env=environment,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise HarnessError(
            f"the process that audits determinism ended with {done.returncode}: {last[0]}",
            next_step="run one of the seeds alone, with the same options",
        )
    return msgspec.json.decode(done.stdout, type=tuple[Answer, ...])


def answer(request: Request) -> tuple[Answer, ...]:
    """Return what a fresh process answers."""
    answers = []
    for seed in request.seeds:
        execution = request.sampling.execute(seed, keep_events=request.keep_events)
        answers.append(Answer(seed=seed, digest=execution.digest, events=execution.events))
    return tuple(answers)


def main() -> int:
    """Answer the request on the standard input."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    # What a pattern prints must not get between the answers.
    with contextlib.redirect_stdout(sys.stderr):
        answers = answer(request)
    sys.stdout.buffer.write(msgspec.json.encode(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
