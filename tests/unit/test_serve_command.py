"""``harness serve``: its orders, and that what it takes is documented."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path

import pytest

from harness.cli.serve_command import serve
from harness.errors import UsageError
from harness.interfaces.backend import MemberState
from harness.interfaces.link import Link
from harness.sim.kernel import Kernel
from harness.wire.control import QUIT, obey
from harness.wire.simulated_set import SeededStrategy, SimulatedSet

DOCS = Path(__file__).parents[2] / "docs"


class FakePowers:
    """Notes what it is told; ``m1`` is primary."""

    members = ("m1", "m2", "m3")

    def __init__(self) -> None:
        self.done: list[object] = []
        self.conditions: dict[str, str] = {}
        self.roles = {"m1": "PRIMARY", "m2": "SECONDARY", "m3": "SECONDARY"}

    def cut(self, links: Iterable[Link]) -> None:
        self.done.append(sorted(links))

    def heal_all(self) -> None:
        self.done.append("heal")

    def kill(self, member: str) -> None:
        self.done.append(("kill", member))

    def restart(self, member: str) -> None:
        self.done.append(("restart", member))

    def pause(self, member: str) -> None:
        self.done.append(("pause", member))

    def resume(self, member: str) -> None:
        self.done.append(("resume", member))

    async def step_down(self) -> str:
        self.done.append("stepdown")
        return "m1 stepped down"

    def lag(self, member: str, *, on: bool) -> None:
        self.done.append(("lag", member, on))

    def set_skew(self, member: str, skew_us: int) -> None:
        self.done.append(("skew", member, skew_us))

    def observe(self) -> tuple[MemberState, ...]:
        return tuple(MemberState(member=name, reachable=True, role=role, term=1) for name, role in self.roles.items())

    def condition(self, member: str) -> str:
        return self.conditions.get(member, "")


def type_in(powers, line: str) -> str:
    """Return the answer to a line; orders await nothing here."""
    try:
        obey(powers, line).send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it awaited something")


@pytest.mark.parametrize(
    ("line", "done"),
    [
        ("partition-clients", [Link("clients", "m1")]),
        ("cut m2 m3", [Link("m2", "m3")]),
        ("cut clients primary", [Link("clients", "m1")]),
        ("heal", "heal"),
        ("kill m2", ("kill", "m2")),
        ("  KILL   primary ", ("kill", "m1")),
        ("pause m3", ("pause", "m3")),
        ("stepdown", "stepdown"),
        ("lag m2", ("lag", "m2", True)),
        ("catch-up m2", ("lag", "m2", False)),
        ("skew m2 -1.5", ("skew", "m2", -1_500_000)),
    ],
)
def test_an_order_is_carried_out(line, done):
    """Each order does its one thing."""
    powers = FakePowers()
    assert type_in(powers, line)
    assert powers.done == [done]


def test_a_partition_cuts_both_ways():
    """The primary is cut off from every other member, in both directions, and clients are not."""
    powers = FakePowers()
    type_in(powers, "partition-primary")
    (links,) = powers.done
    assert links == [Link("m1", "m2"), Link("m1", "m3"), Link("m2", "m1"), Link("m3", "m1")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("kil m1", "did you mean kill?"),
        ("parttion-primary", "did you mean partition-primary"),
        ("frobnicate", "known: catch-up"),
        ("kill m4", "did you mean"),
        ("kill", "type: kill MEMBER"),
        ("heal m1", "type: heal"),
        ("restart m1", "type: kill m1"),
        ("resume m1", "type: pause m1"),
        ("skew m1 soon", "type: skew m2 60"),
        ("cut m1 m1", "type: cut SOURCE MEMBER"),
    ],
)
def test_what_is_no_order_is_told(line, words):
    """Unknown words get the near ones, wrong lines the right form; nothing is done."""
    powers = FakePowers()
    with pytest.raises(UsageError) as raised:
        type_in(powers, line)
    assert words in str(raised.value)
    assert powers.done == []


def test_what_is_done_already_is_told():
    """A member that is dead is not killed again, one that is paused not paused again."""
    powers = FakePowers()
    powers.conditions = {"m1": "killed", "m2": "paused"}
    for line in ("kill m1", "pause m1", "pause m2"):
        with pytest.raises(UsageError, match="already"):
            type_in(powers, line)
    powers.roles["m1"] = ""
    with pytest.raises(UsageError, match="no member is primary"):
        type_in(powers, "kill primary")


def test_status_tells_of_every_member():
    """One line a member, with what is done to it."""
    powers = FakePowers()
    powers.conditions = {"m2": "lagged"}
    assert type_in(powers, "status").splitlines() == [
        "m1  PRIMARY, term 1",
        "m2  SECONDARY, term 1, lagged",
        "m3  SECONDARY, term 1",
    ]


def test_every_order_is_documented():
    """The orders that ``help`` lists are those of the page, each with a row."""
    page = (DOCS / "how-to" / "serve.md").read_text(encoding="utf-8")
    listed = {line.split("  ")[0] for line in type_in(FakePowers(), "help").splitlines()[:-1]}
    rows = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert listed == rows
    assert QUIT in listed


def test_every_option_is_in_the_reference():
    """Each option of ``harness serve`` has its row."""
    section = (
        (DOCS / "reference" / "command-line.md")
        .read_text(encoding="utf-8")
        .partition("## Options of `harness serve`")[2]
    )
    names = [f"--{name.replace('_', '-')}" for name in inspect.signature(serve).parameters]
    assert [name for name in names if f"| `{name}" not in section] == []


def test_the_served_set_begins_healthy():
    """It has a primary, its members are caught up, and its clock is the one that it was given."""
    served = SimulatedSet.start(1_800_000_000_000_000, members=5, seed=None, journal_default=True)
    assert served.members == ("m1", "m2", "m3", "m4", "m5")
    assert [served.view(member).role for member in served.members] == ["PRIMARY", *["SECONDARY"] * 4]
    assert served.wall_us("m2") == 1_800_000_000_000_000
    assert {served.reach(member) for member in served.members} == {"open"}
    assert served.last_write("m1")["opTime"] == served.last_write("m3")["opTime"]


def test_a_seed_decides_a_share_of_the_choices():
    """The same seed chooses alike, another one otherwise; the default remains the rule, and no task is chosen."""

    def choices(seed: int) -> list[int]:
        kernel = Kernel(SeededStrategy(seed))
        return [kernel.choose("applied", ("a", "b", "c")) for _ in range(400)]

    assert choices(1) == choices(1) != choices(2)
    assert 40 < sum(1 for choice in choices(1) if choice) < 120
    strategy = SeededStrategy(1)
    assert {strategy.choose("run", ("x", "y"), 1, None) for _ in range(50)} == {1}
