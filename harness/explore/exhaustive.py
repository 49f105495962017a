"""Bounded exhaustive search: every run of a workload within bounds, or an account of how far the search got.

A run is executed again from its start for every branch, since coroutines cannot be copied: the noted deviations are
applied, beyond them the default is taken and every other option is noted as a branch. Branches are taken in ascending
number of deviations, so that the first violation has the fewest, and what was completed can be said at any time.

Where a program tells its states apart, a run ends where it comes to a state that another has come to with no more
deviations. That drops the order of what happened before; what a checker needs of it, the keys must keep. Nor is anybody
else let run before a step that touches nothing of theirs: before it or after it comes to the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from harness.errors import HarnessError
from harness.explore.bounds import Bounds, Used, class_of
from harness.explore.program import Execution, Program, Workload
from harness.sim.kernel import Kernel
from harness.sim.kernel.choices import RUN, Label

PROGRESS_S: Final = 0.5
_MOST_STATES: Final = 2_000_000
"""States that are remembered; a search that meets more says that it did not complete."""


_COUNTLESS: Final = 1e12
_SLOWEST_DECLINE: Final = 0.9
_TELLING_SHARE: Final = 0.4


class _Abandoned(BaseException):
    """Raised by the search in a run that need not go on. Not an Exception, so that no program swallows it."""


class Branch(NamedTuple):
    """A run to be executed: the default everywhere but at its own position and those of its parents."""

    parent: Branch | None
    position: int
    """Number of the choice at which it deviates."""
    option: int
    label: Label
    used: Used


ROOT: Final = Branch(None, -1, 0, "", Used())


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a search may cost; None stands for no limit."""

    executions: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a search is."""

    executions: int
    states: int
    deviations: int
    """Runs with this many deviations are being executed; those with fewer are done."""
    waiting: int
    seconds: float
    seconds_left: float
    """An estimate, good to a factor of ten; it tends to be too high."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a search found and how far it got."""

    bounds: Bounds
    complete: bool
    completed_deviations: int
    """All runs within the bounds with at most so many deviations were executed; -1 where not even one was."""
    executions: int
    abandoned: int
    """Executions among these that ended at a state that was known."""
    states: int
    violations: tuple[Execution, ...]
    """The first execution, one of the fewest deviations, for each set of anomalies."""
    unknown: tuple[Execution, ...]
    """The first execution for each reason for which there was no verdict."""
    hashing: bool
    why_not_hashing: str
    seconds: float
    seconds_left: float

    def describe(self) -> str:
        """Return in words what was searched."""
        scope = self.bounds.describe()
        if self.complete:
            return f"complete within {scope}: {self._counts()}"
        left = f"about {self.seconds_left:,.0f} s were left"
        if self.completed_deviations < 0:
            return f"nothing completed within {scope}: {self._counts()}; {left}"
        return (
            f"complete up to {self.completed_deviations} deviations within {scope}, then stopped: "
            f"{self._counts()}; {left}"
        )

    def _counts(self) -> str:
        reduction = f"{self.states:,} states" if self.hashing else f"no state hashing ({self.why_not_hashing})"
        return f"{self.executions:,} executions, {reduction}, {self.seconds:,.1f} s"


def search(
    program: Program,
    workload: Workload,
    bounds: Bounds,
    *,
    budget: Budget | None = None,
    hashing: bool = True,
    admit: Callable[[str, Label], bool] | None = None,
    stop: Callable[[Execution], bool] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> SearchResult:
    """Execute every run of ``workload`` within ``bounds``, as far as ``budget`` goes.

    ``hashing`` lets runs end at known states where the program's requirements allow it. ``admit(kind, label)`` may
    leave options out of the search. ``stop(execution)`` ends it, as after one that shows what was looked for.
    """
    return _Search(program, workload, bounds, budget or Budget(), hashing=hashing, admit=admit).run(stop, on_progress)


class _Search:
    def __init__(
        self,
        program: Program,
        workload: Workload,
        bounds: Bounds,
        budget: Budget,
        *,
        hashing: bool,
        admit: Callable[[str, Label], bool] | None,
    ) -> None:
        self.program = program
        self.workload = workload
        self.bounds = bounds
        self.budget = budget
        self.admit = admit
        self.hashing = hashing
        self.why_not = "" if hashing else "it was switched off"
        self.waiting: list[list[Branch]] = [[ROOT]]
        """By number of deviations, the branches to be taken."""
        self.noted: list[int] = [1]
        """By number of deviations, the branches that were ever noted."""
        self.seen: dict[int, list[Used]] = {}
        self.executions = 0
        self.abandoned = 0
        self.violations: dict[tuple[str, ...], Execution] = {}
        self.unknown: dict[str, Execution] = {}
        self.level = 0
        self.began = 0.0

    def run(
        self, stop: Callable[[Execution], bool] | None, on_progress: Callable[[Progress], None] | None
    ) -> SearchResult:
        """Search until nothing is left, the budget is spent, or ``stop`` says so."""
        self.began = told = time.monotonic()
        complete = True
        while self.level < len(self.waiting):
            branches = self.waiting[self.level]
            if not branches:
                self.level += 1
                continue
            if self._spent():
                complete = False
                break
            execution = self._execute(branches.pop())
            if execution is not None and stop is not None and stop(execution):
                complete = False
                break
            if on_progress is not None and time.monotonic() - told >= PROGRESS_S:
                told = time.monotonic()
                on_progress(self._progress())
        return self._result(complete=complete)

    def _spent(self) -> bool:
        budget = self.budget
        if budget.executions is not None and self.executions >= budget.executions:
            return True
        if len(self.seen) >= _MOST_STATES:
            return True
        return budget.seconds is not None and time.monotonic() - self.began >= budget.seconds

    def _execute(self, branch: Branch) -> Execution | None:
        self.executions += 1
        strategy = _SearchStrategy(self, branch)
        try:
            execution = self.program.execute(self.workload, strategy)
        except _Abandoned:
            self.abandoned += 1
            return None
        finally:
            strategy.take_up(may_be_silent=False)
        if execution.status == "violated":
            self.violations.setdefault(execution.anomalies, execution)
        elif execution.status == "unknown":
            self.unknown.setdefault(execution.reason, execution)
        return execution

    def wait_all(self, branches: Iterable[Branch]) -> None:
        """Note branches."""
        for branch in branches:
            level = sum(branch.used)
            while len(self.waiting) <= level:
                self.waiting.append([])
                self.noted.append(0)
            self.waiting[level].append(branch)
            self.noted[level] += 1

    def knows(self, kernel: Kernel, used: Used) -> bool:
        """Whether the state of a run was come to before with no more deviations of any class; remember it."""
        keys = kernel.state_keys
        if keys is None or not self.program.requirements <= keys.keeps:
            self._give_up_hashing("the program does not tell its states apart" if keys is None else "")
            return False
        current = kernel.current
        # Whoever cannot go on is left without a deviation that counts.
        key = keys.key(current.name if current.ready and self.bounds.told_apart_by_task else "")
        spent = self.bounds.spent(used)
        before = self.seen.get(key)
        if before is None:
            self.seen[key] = [spent]
            return False
        if any(all(map(_at_most, one, spent)) for one in before):
            return True
        before.append(spent)
        return False

    def _give_up_hashing(self, why: str) -> None:
        self.hashing = False
        self.why_not = why or f"a checker needs {', '.join(sorted(self.program.requirements))}"

    def _progress(self) -> Progress:
        seconds = time.monotonic() - self.began
        return Progress(
            executions=self.executions,
            states=len(self.seen),
            deviations=self.level,
            waiting=sum(map(len, self.waiting)),
            seconds=seconds,
            seconds_left=self._seconds_left(seconds),
        )

    def _seconds_left(self, seconds: float) -> float:
        waiting = len(self.waiting[self.level]) if self.level < len(self.waiting) else 0
        left = executions_left(self.noted, waiting, self.level, self.bounds.most + len(self.workload.clients))
        return seconds * left / self.executions if self.executions else 0.0

    def _result(self, *, complete: bool) -> SearchResult:
        seconds = time.monotonic() - self.began
        return SearchResult(
            bounds=self.bounds,
            complete=complete,
            completed_deviations=self.level - 1,
            executions=self.executions,
            abandoned=self.abandoned,
            states=len(self.seen),
            violations=tuple(self.violations.values()),
            unknown=tuple(self.unknown.values()),
            hashing=self.hashing,
            why_not_hashing=self.why_not,
            seconds=seconds,
            seconds_left=self._seconds_left(seconds),
        )


def executions_left(noted: Sequence[int], waiting: int, level: int, most: float = math.inf) -> float:
    """Return an estimate of the executions that a search has left.

    ``noted`` counts by number of deviations the branches that were noted, ``waiting`` are left of those with ``level``;
    no run has more than ``most``. How many branches another deviation adds is taken from the levels so far, and its
    decline with it.
    """
    if level >= len(noted):
        return 0.0
    done = 1 - waiting / noted[level]
    before = noted[level] / noted[level - 1] if level else 1.0
    following = float(noted[level + 1]) if level + 1 < len(noted) else 0.0
    # What the first branches of a level add says little of the others.
    following = following / done if done >= _TELLING_SHARE else max(following, noted[level] * before / 2)
    growth = following / noted[level]
    left = float(waiting)
    while following >= 1 and left < _COUNTLESS and level < most:
        left += following
        before, growth = growth, growth * min(_SLOWEST_DECLINE, growth / before)
        following *= growth
        level += 1
    return left


def _not_deterministic(step: Branch, kind: str, options: Sequence[Label]) -> HarnessError:
    return HarnessError(
        f"the program is not deterministic: at choice {step.position} of the kind {kind!r} there was {step.label!r} "
        f"before, and now there are {', '.join(map(repr, options))}",
        next_step="audit the digests of some seeds: the first event that differs is shown",
    )


def _at_most(one: int, other: int) -> bool:
    return one <= other


class _SearchStrategy:
    """Applies the deviations of a branch; beyond them takes the default, and notes every other option as a branch."""

    def __init__(self, owner: _Search, branch: Branch) -> None:
        self._owner = owner
        self._branch = branch
        self._used = branch.used
        steps: list[Branch] = []
        step: Branch | None = branch
        while step is not None and step.position >= 0:
            steps.append(step)
            step = step.parent
        self._steps = steps
        self._end = branch.position
        self._next = steps[-1].position if steps else -1
        self._count = -1
        self._kernel: Kernel | None = None
        self._put_off: list[Branch] = []
        """Branches at the last choice of a task, which need not be taken if the step that followed was silent."""

    def begin(self, kernel: Kernel) -> None:
        """Keep the kernel."""
        self._kernel = kernel
        kernel.on_forced = self._forced

    def choose(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:
        """Return the option of the branch; beyond it the default."""
        self._count = count = self._count + 1
        if count <= self._end:
            if count < self._next:
                return default
            step = self._steps.pop()
            self._next = self._steps[-1].position if self._steps else self._end + 1
            if step.option >= len(options) or options[step.option] != step.label:
                raise _not_deterministic(step, kind, options)
            return step.option
        return self._explore(kind, options, default, footprints)

    def _explore(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:
        owner, kernel = self._owner, self._kernel
        assert kernel is not None
        is_run = kind == RUN
        self.take_up(may_be_silent=is_run)
        if is_run and (footprints is None or footprints[default] != ()):
            self._look_up()
        current_can_go_on = is_run and kernel.current.ready
        branches = self._put_off if current_can_go_on else []
        for option, label in enumerate(options):
            if option == default or (owner.admit is not None and not owner.admit(kind, label)):
                continue
            used = self._used.plus(class_of(kind, label, current_can_go_on=current_can_go_on))
            if owner.bounds.admits(used):
                branches.append(Branch(self._branch, self._count, option, label, used))
        if not current_can_go_on:
            owner.wait_all(branches)
        return default

    def _forced(self) -> None:
        """End the run where the state before a step that is no choice is known.

        Nothing branches off between two such steps, so that it will do to look where a task or the run has ended.
        """
        kernel = self._kernel
        assert kernel is not None
        if self._count >= self._end:
            self.take_up(may_be_silent=True)
            if kernel.current.done:
                self._look_up()

    def _look_up(self) -> None:
        owner, kernel = self._owner, self._kernel
        assert kernel is not None
        if owner.hashing and owner.knows(kernel, self._used):
            raise _Abandoned

    def take_up(self, *, may_be_silent: bool) -> None:
        """Note the branches that were put off, unless the step that followed was silent."""
        if not self._put_off:
            return
        branches, self._put_off = self._put_off, []
        keys = self._kernel.state_keys if self._kernel is not None else None
        if may_be_silent and self._owner.hashing and keys is not None and keys.was_silent():
            return
        self._owner.wait_all(branches)
