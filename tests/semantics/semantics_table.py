"""The rules that the simulated servers follow, and the scripts that show each on the simulator and on mongod.

A probe is a script of the ``rules_*`` modules here, or one of ``tests/support/probe_*.py``, which run three ways. A row
without a probe says why. ``docs/reference/semantics.md`` is :func:`page` of this table.
"""

from __future__ import annotations

from collections.abc import Sequence

import rule_modules
import three_ways
from probe_registry import PROBES
from semantic_registry import RULES
from semantics_of_clients import CODES, OPERATIONS, SESSIONS, STREAMS
from semantics_of_servers import CONCERNS, REPLICATION
from semantics_row import Section

assert rule_modules.RULE_MODULES
assert three_ways.PROBE_MODULES

SECTIONS = (REPLICATION, CONCERNS, SESSIONS, OPERATIONS, STREAMS, CODES)


INTRODUCTION = """\
Rules of MongoDB that the simulated servers follow, and the probes that show each. A probe is a small script that runs
on the simulator and on mongod 6.0.5: each outcome, code and label that mongod showed is among those that the simulator
produces, over many seeds where servers leave something open. Probes are found by name in `tests/semantics/rules_*.py`
and `tests/support/probe_*.py`; the sources of the rules are named in the modules of `harness/sim/server`."""


def page(sections: Sequence[Section] = SECTIONS) -> str:
    """Return the table as a page of the documentation."""
    lines = [
        "# Semantics",
        "",
        INTRODUCTION,
        "",
    ]
    for section in sections:
        lines += [f"## {section.title}", "", "| topic | rule | probes |", "| --- | --- | --- |"]
        for each in section.rows:
            reason = f"**not probed**: {each.unprobed}" if each.unprobed else ""
            places = [*(f"`{name}`" for name in each.probes), *filter(None, (reason, each.besides))]
            lines.append(f"| {each.topic} | {each.rule} | {'; '.join(places)} |")
        lines.append("")
    return "\n".join(lines)


def probed() -> frozenset[str]:
    """Return the names of all probes that the table names."""
    return frozenset(name for section in SECTIONS for each in section.rows for name in each.probes)


def known() -> frozenset[str]:
    """Return the names of all probes that there are."""
    return frozenset(RULES) | frozenset(PROBES)
