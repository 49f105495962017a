"""Seeds: one number, independent streams."""

from __future__ import annotations

import subprocess
import sys

from harness.seed import derive, stream


def test_streams_of_different_names_are_independent() -> None:
    """Drawing from one stream does not shift another, and names are not run together."""
    first = [stream(7, "workload", 1).random() for _ in range(2)]
    assert first[0] == first[1]
    assert stream(7, "workload", 1).random() != stream(7, "workload", 2).random()
    assert stream(7, "ab", "c").random() != stream(7, "a", "bc").random()


def test_a_stream_is_the_same_in_every_process() -> None:
    """The hash seed of the interpreter has no say."""
    program = "from harness.seed import stream; print(stream(7, 'nemesis', 'lag').random())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {f"{stream(7, 'nemesis', 'lag').random()}\n".encode()}


def test_derived_seeds_differ() -> None:
    """The runs of a cell do not repeat one another."""
    assert len({derive(7, "run", number) for number in range(100)}) == 100
