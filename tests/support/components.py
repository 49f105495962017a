"""What tests need beside Python: where it is missing, CI fails and a user's machine skips, with the reason."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from harness.backends.local.binary import Mongod, find_mongod
from harness.errors import HarnessError


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have it: {reason}")
    pytest.skip(reason)


def mongod_or_skip() -> Mongod:
    """Return this machine's mongod."""
    try:
        return find_mongod()
    except HarnessError as error:
        missing(str(error))
