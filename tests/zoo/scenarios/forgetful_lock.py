"""The hardened optimistic lock with room for two remembered keys: who retries after two others is applied twice."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random
from collections.abc import Iterator

from harness import Call
from harness.scenario.load import load_scenario

REMEMBERED = 2
WHOLE = load_scenario("optimistic_lock").scenario


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Count up one of two documents."""
    for number in itertools.count():
        document = f"document-{random.randrange(2)}"
        yield Call(function="increment", arguments={"document": document, "token": f"{client}-{number}"})


SCENARIO = dataclasses.replace(
    WHOLE,
    name="forgetful_lock",
    variants={"forgetful": functools.partial(WHOLE.variants["hardened"], remembered=REMEMBERED)},
    workload=workload,
    expected=(),
    advice={},
)
