"""A harness that judges MongoDB patterns: may one adopt a pattern, and under which settings.

Public names are resolved lazily (PEP 562), so that ``import harness.checkers`` stays free of the driver.
Start reading with ARCHITECTURE.md, then ``harness/scenario/record.py``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.environment import real_env as real_env
    from harness.errors import HarnessError as HarnessError
    from harness.errors import Rejected as Rejected
    from harness.history import History as History
    from harness.interfaces.checker import Checker as Checker
    from harness.interfaces.environment import Env as Env
    from harness.operation import Operation as Operation
    from harness.scenario.record import Call as Call
    from harness.scenario.record import Context as Context
    from harness.scenario.record import Expected as Expected
    from harness.scenario.record import Scenario as Scenario
    from harness.settings import Settings as Settings
    from harness.verdict import Anomaly as Anomaly
    from harness.verdict import Verdict as Verdict

_HOMES = {
    "Anomaly": "harness.verdict",
    "Call": "harness.scenario.record",
    "Checker": "harness.interfaces.checker",
    "Context": "harness.scenario.record",
    "Env": "harness.interfaces.environment",
    "Expected": "harness.scenario.record",
    "HarnessError": "harness.errors",
    "History": "harness.history",
    "Operation": "harness.operation",
    "Rejected": "harness.errors",
    "Scenario": "harness.scenario.record",
    "Settings": "harness.settings",
    "Verdict": "harness.verdict",
    "real_env": "harness.environment",
}

__version__ = "0.1.0"
__all__ = [  # noqa: RUF022 - grouped by who needs them
    # scenarios
    "Call",
    "Context",
    "Expected",
    "Scenario",
    "Settings",
    # patterns
    "Env",
    "Rejected",
    "real_env",
    # checkers
    "Anomaly",
    "Checker",
    "History",
    "Operation",
    "Verdict",
    # errors and facts of the package
    "HarnessError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
