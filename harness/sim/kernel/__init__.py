"""The kernel of the simulator: a coroutine loop in virtual time, and one door for every choice.

May import nothing of the harness but ``seed`` and ``errors``. Start reading with ``loop.py``; ``choices.py`` has what
decides, ``guard.py`` what keeps a simulated run from reaching out of it.
"""

from harness.sim.kernel.choices import DefaultStrategy, Deviation, Site, StateKeys, Strategy
from harness.sim.kernel.loop import EndlessRunError, Event, Kernel, StandstillError, Task, TaskCancelled

__all__ = [
    "DefaultStrategy",
    "Deviation",
    "EndlessRunError",
    "Event",
    "Kernel",
    "Site",
    "StandstillError",
    "StateKeys",
    "Strategy",
    "Task",
    "TaskCancelled",
]
