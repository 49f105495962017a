"""Replay: the deviations of a run applied again, as far as they go on a workload or a program that has changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.sim.kernel import Deviation, Kernel
from harness.sim.kernel.choices import Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Unapplied:
    """A deviation that a replay could not apply. ``offered`` is what there was instead; empty if it never came up."""

    deviation: Deviation
    offered: tuple[Label, ...] = ()

    def describe(self) -> str:
        """Return what was missing in one sentence."""
        site, label = self.deviation
        operation = f" in operation {site.operation}" if site.operation else ""
        where = f"choice {site.occurrence + 1} of the kind {site.kind!r} of {site.task}{operation}"
        if not self.offered:
            return f"The run never came to {where}, where {label!r} was chosen."
        return f"At {where} there was no {label!r}, only {', '.join(map(repr, self.offered))}."


class ReplayStrategy:
    """Takes the deviation that is noted for a site, and the default everywhere else."""

    def __init__(self, deviations: Iterable[Deviation]) -> None:
        self._deviations = tuple(deviations)
        # Several at one site are taken in their order: a task may come to an operation of the same name again.
        self._left: dict[tuple[str, str, str, int], list[Label]] = {}
        for site, label in self._deviations:
            self._left.setdefault(site, []).append(label)
        self._refused: dict[tuple[str, str, str, int], tuple[Label, ...]] = {}
        self._kernel: Kernel | None = None

    def begin(self, kernel: Kernel) -> None:
        """Keep the kernel, which knows where a choice is made."""
        self._kernel = kernel

    def choose(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:  # noqa: ARG002 - a Strategy
        """Return the noted option, or the default."""
        assert self._kernel is not None
        task = self._kernel.current
        site = (task.name, task.operation, kind, task.counts.get(kind, 0))
        labels = self._left.get(site)
        if not labels:
            return default
        if labels[0] in options:
            return options.index(labels.pop(0))
        self._refused[site] = tuple(options)
        return default

    @property
    def unapplied(self) -> tuple[Unapplied, ...]:
        """The deviations that were not applied, in their order; asked for after the run."""
        left = {site: list(labels) for site, labels in self._left.items()}
        missing = []
        for deviation in self._deviations:
            labels = left[deviation.site]
            if labels and labels[0] == deviation.label:
                labels.pop(0)
                missing.append(Unapplied(deviation=deviation, offered=self._refused.get(deviation.site, ())))
        return tuple(missing)

    @property
    def first_divergence(self) -> Unapplied | None:
        """The first deviation that was not applied, or None where the replay went as the run did."""
        return next(iter(self.unapplied), None)
