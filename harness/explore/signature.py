"""The signature of a shrunk finding: the same for runs that show one bug, whichever seed they came from.

It has the kind of anomaly, the functions of the operations in the order in which they began and ended, with clients
numbered as they come, and what was deviated in beside turns. Values, client numbers and times are left out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from harness.explore.program import Execution, Workload
from harness.history import History
from harness.sim.kernel.choices import RUN, TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What two findings have in common that are one bug."""

    anomaly: str
    shape: str
    """Operations as they began (+) and ended (-): ``a+claim b+claim b-claim a-claim``."""
    deviations: tuple[str, ...]
    """Kinds and labels, turns of tasks left out, sorted."""

    @property
    def text(self) -> str:
        """The signature on one line."""
        return " | ".join(filter(None, (self.anomaly, self.shape, ", ".join(self.deviations))))

    @property
    def key(self) -> str:
        """A short name for files and tables, the same in every process."""
        return hashlib.blake2b(self.text.encode(), digest_size=6).hexdigest()


def signature_of(workload: Workload, execution: Execution, anomaly: str) -> Signature:
    """Return the signature of an execution that shows ``anomaly``; shrink it first, or no two will be alike."""
    history = execution.history
    shape = _shape_of_history(history) if isinstance(history, History) else _shape_of_workload(workload)
    marks = {
        TIME if site.kind == RUN else f"{site.kind} {label}"
        for site, label in execution.deviations
        if site.kind != RUN or label == TIME
    }
    return Signature(anomaly=anomaly, shape=shape, deviations=tuple(sorted(marks)))


def _shape_of_history(history: History) -> str:
    moments: list[tuple[int, int, int, str, int]] = []
    for operation in history.operations:
        moments.append((operation.start_ns, 1, operation.index, f"+{operation.function}", operation.client))
        if operation.returned_ns is not None:
            moments.append((operation.returned_ns, 0, operation.index, f"-{operation.function}", operation.client))
    letters: dict[int, str] = {}
    return " ".join(f"{_letter(letters, client)}{what}" for _, _, _, what, client in sorted(moments))


def _shape_of_workload(workload: Workload) -> str:
    sequences = sorted("+".join(item.call.function for item in workload.of(client)) for client in workload.clients)
    return " ".join(sequences)


def _letter(letters: dict[int, str], client: int) -> str:
    number = len(letters)
    return letters.setdefault(client, chr(ord("a") + number) if number < 26 else f"c{number}")  # noqa: PLR2004 - letters
