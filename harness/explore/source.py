"""Where programs come from, in a form that another process understands: a function to import, and plain arguments."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import msgspec

from harness.errors import UsageError
from harness.explore.profile import Profile
from harness.explore.program import Execution, Program
from harness.explore.strategies import make_strategy


class ProgramSource(msgspec.Struct, frozen=True, kw_only=True):
    """``factory`` is ``package.module:function``; called as ``function(seed, **arguments)`` it returns a program."""

    factory: str
    arguments: dict[str, Any] = {}
    """Plain JSON values."""

    def program(self, seed: int) -> Program:
        """Return the program of a seed. Raises UsageError where the function cannot be imported."""
        module, _, name = self.factory.partition(":")
        try:
            function: Callable[..., Program] = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise UsageError(
                f"the program factory {self.factory!r} cannot be imported: {error}",
                next_step="name it as package.module:function",
            ) from error
        return function(seed, **self.arguments)


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How a seed is executed: program, strategy and what the strategy is sized by."""

    source: ProgramSource
    strategy: str = "portfolio"
    profile: Profile
    strikes: int = 0

    def execute(self, seed: int, *, keep_events: bool = False) -> Execution:
        """Execute one seed."""
        program = self.source.program(seed)
        strategy = make_strategy(self.strategy, seed, self.profile, strikes=self.strikes)
        return program.execute(program.workload(), strategy, keep_events=keep_events)
