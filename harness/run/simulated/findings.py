"""Findings of a campaign: shrunk, and told apart by their signature, so that many seeds of one bug are one finding."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import HarnessError
from harness.explore.signature import Signature, signature_of
from harness.run.simulated.seeds import SeedRunner
from harness.run.simulated.shrinking import shrink_stored

SHRINK_BUDGET = 1_500
"""Simulated runs that shrinking one finding of a campaign may cost."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One bug: its signature, and the shrunk run that was first seen of it."""

    signature: Signature
    run: str
    directory: Path
    operations: int
    deviations: int


@dataclass(kw_only=True)
class Findings:
    """The findings of one cell so far."""

    runner: SeedRunner
    root: Path
    campaign: str
    by_key: dict[str, Finding] = field(default_factory=dict, init=False)
    seen: dict[str, int] = field(default_factory=dict, init=False)

    def shrink(self, directory: Path) -> str:
        """Shrink a stored finding and return the key of its signature."""
        try:
            shrunk = shrink_stored(self.root, directory, budget=SHRINK_BUDGET)
        except HarnessError as error:
            return f"not shrunk: {error.message}"
        result = shrunk.result
        signature = signature_of(result.workload, result.execution, result.anomaly)
        self.seen[signature.key] = self.seen.get(signature.key, 0) + 1
        if signature.key not in self.by_key:
            self.by_key[signature.key] = Finding(
                signature=signature,
                run=shrunk.facts.run,
                directory=shrunk.directory,
                operations=result.size[0],
                deviations=result.size[2],
            )
        return signature.key
