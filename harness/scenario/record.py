"""The scenario: a record of plain functions and data that says how a pattern is run and what it promises.

Nothing is subclassed. The same record runs on every backend: it awaits only what the harness hands to it (the
pattern API and ``env``).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.interfaces.checker import Checker
from harness.interfaces.environment import Env
from harness.settings import Settings, parse_settings

ExpectedVerdict = Literal["holds", "violated", "not-applicable", "may-violate"]
"""``may-violate``: either is green, and the rate is shown."""

ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One operation that the workload asks a client to do: a function name and plain JSON arguments."""

    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Context:
    """What a scenario's functions get. ``state`` is the client's own memory; it dies with its process.

    In ``setup`` and ``final_reads`` there is no client: ``client`` and ``process`` are -1 and the connection is one
    that no link carries.
    """

    database: Any
    """The pattern API's database handle of this run, with the cell's concerns."""
    pattern: Any
    """An instance of the variant's pattern class, made by ``Scenario.variants[variant](database, env=env)``."""
    env: Env
    settings: Settings
    variant: str
    random: random.Random
    client: int = -1
    process: int = -1
    clients: int = 0
    """How many clients the run has."""
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The verdict that a cell is expected to get, with the reason. The first entry that matches a cell counts.

    ``variant`` and ``fault`` match by equality or ``*``; ``setting`` matches where everything that it sets is set to
    the same value in the cell (``default`` matches the default alone, ``*`` everything).
    """

    verdict: ExpectedVerdict
    variant: str = ANY
    setting: str = ANY
    fault: str = ANY
    anomaly: str = ""
    """The kind of anomaly that a ``violated`` cell is expected to show, where that is certain."""
    why: str = ""

    def matches(self, variant: str, settings: Settings, fault: str) -> bool:
        """Whether this entry speaks of that cell."""
        return (
            self.variant in {ANY, variant}
            and self.fault in {ANY, fault}
            and (self.setting == ANY or _setting_matches(self.setting, settings))
        )


def _setting_matches(text: str, settings: Settings) -> bool:
    wanted = parse_settings(text)
    return settings == wanted if wanted == Settings() else settings.includes(wanted)


Workload = Callable[[random.Random, int], Iterator[Call]]
"""``workload(random, client)`` yields the calls of one client, without end; drawn from ``random`` alone."""

SetupFunction = Callable[[Context], Coroutine[Any, Any, None]]
FinalReads = Callable[[Context], Coroutine[Any, Any, Mapping[str, Any]]]
OperationFunction = Callable[..., Coroutine[Any, Any, Any]]
"""``await function(context, **arguments)``: calls the pattern; what it returns or raises is the result."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A pattern, how it is exercised, what it promises and what each cell is expected to show."""

    name: str
    contract: str
    """What is promised, in one sentence that a reviewer understands."""
    section: str
    """Where the pattern is published: the section of the seed document, or the user's own reference."""
    variants: Mapping[str, Callable[..., Any]]
    """Variant name to pattern class; called as ``PatternClass(database, env=env)``. The first is the default."""
    operations: Mapping[str, OperationFunction]
    workload: Workload
    checkers: tuple[Checker, ...]
    setup: SetupFunction | None = None
    final_reads: FinalReads | None = None
    settings: tuple[str, ...] = ("default",)
    """The rows of its matrix."""
    faults: tuple[str, ...] = ("none",)
    """The columns of its matrix."""
    expected: tuple[Expected, ...] = ()
    declared_errors: tuple[str, ...] = ()
    """Class names of exceptions that the contract provides for, beside Rejected and unavailability."""
    advice: Mapping[str, str] = field(default_factory=dict)
    """Variant name to the sentence that the report gives as its recommendation."""
    shortened: Mapping[str, str] = field(default_factory=dict)
    """Durations and sizes of the seed that this scenario shortens: name to ``5 min -> 2 s``."""
    think_ms: float = 2.0
    """Mean pause of a client between two operations (exponential, drawn from the seed)."""

    @property
    def default_variant(self) -> str:
        """The variant that runs when none is named: ``published``, else the first declared."""
        return "published" if "published" in self.variants else next(iter(self.variants))

    @property
    def ignores_real_time(self) -> bool:
        """Whether no checker judges by which operation had ended before which began."""
        return all(checker.ignores_real_time for checker in self.checkers)

    @property
    def ignores_durations(self) -> bool:
        """Whether no checker looks at more of real time than which operations had ended when each began."""
        return all(checker.ignores_real_time or checker.ignores_durations for checker in self.checkers)

    def expectation(self, variant: str, settings: Settings, fault: str) -> Expected | None:
        """Return the declared expectation of a cell, or None where the scenario declares none."""
        return next((e for e in self.expected if e.matches(variant, settings, fault)), None)
