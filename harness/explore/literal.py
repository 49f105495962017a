"""A run as Python text: its workload and its deviations, which whoever has the program can execute again."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checkers.story import counted
from harness.explore.program import Execution, Workload, WorkloadItem
from harness.sim.kernel import Deviation

_PLACEHOLDER = "program = ...  # the program that this run was found in"

_TEMPLATE = '''\
"""{title}"""

from harness.explore.program import Workload, WorkloadItem
from harness.explore.replay import ReplayStrategy
from harness.scenario.record import Call
from harness.sim.kernel import Deviation, Site

{program}

WORKLOAD = Workload(
    items=(
{items}
    )
)

DEVIATIONS = ({deviations})

strategy = ReplayStrategy(DEVIATIONS)
execution = program.execute(WORKLOAD, strategy)
for missing in strategy.unapplied:
    print(missing.describe())
print(execution.status, *execution.anomalies)
'''


def literal_of(workload: Workload, execution: Execution, *, anomaly: str, program_source: str = "") -> str:
    """Return Python text that executes the run again and prints its verdict.

    ``program_source`` is text that defines ``program``; without it a reader has to fill that in.
    """
    title = f"{anomaly}: {size_words(workload, execution)}."
    return _TEMPLATE.format(
        title=title,
        program=program_source.strip() or _PLACEHOLDER,
        items="\n".join(f"        {_item(item)}," for item in workload),
        deviations=_deviations(execution.deviations),
    )


def size_words(workload: Workload, execution: Execution) -> str:
    """Return the size of a run in words: ``2 operations of 2 clients, 1 deviation``."""
    operations, clients = counted(len(workload), "operation"), counted(len(workload.clients), "client")
    return f"{operations} of {clients}, {counted(len(execution.deviations), 'deviation')}"


def _item(item: WorkloadItem) -> str:
    call = f"Call(function={item.call.function!r}, arguments={dict(item.call.arguments)!r})"
    return f"WorkloadItem(id={item.id!r}, client={item.client}, index={item.index}, call={call})"


def _deviations(deviations: Sequence[Deviation]) -> str:
    lines = "".join(
        f"\n    Deviation(Site({site.task!r}, {site.operation!r}, {site.kind!r}, {site.occurrence}), {label!r}),"
        for site, label in deviations
    )
    return f"{lines}\n" if lines else ""
