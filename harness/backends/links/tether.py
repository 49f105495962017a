"""Processes that end with the harness, even when it is killed with -9: the kernel is asked to see to it.

``python -m harness.backends.links.tether PARENT_ID PROGRAM ARGUMENT...`` becomes PROGRAM after asking for a SIGKILL at
the end of the thread that started it; the wish survives the exec. It must therefore be started from a thread that lives
as long as it may (trio's own thread, never a worker thread).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_id: int) -> None:
    """Ask the kernel to kill this process at the end of its parent; end now where the parent is gone already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_id:
        raise SystemExit(0)


def python_environment() -> dict[str, str]:
    """Return the environment in which a Python process of the harness's finds this very package."""
    root = str(Path(__file__).resolve().parents[3])
    others = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, others)))}


def main() -> None:
    """Become the program that the command line names."""
    die_with_parent(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is wanted; the program is the caller's choice


if __name__ == "__main__":
    main()
