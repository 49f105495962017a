"""The names of faults and their parser."""

from __future__ import annotations

import pytest
from fake_backend import ALL

from harness.errors import UsageError
from harness.faults.catalogue import FAULT_NAMES, FAULTS, parse_faults, refuse_impossible

DESIGN = [
    "partition-primary",
    "partition-majority",
    "partition-ring",
    "partition-bridge",
    "partition-one-way",
    "drop-one-way",
    "partition-clients",
    "split-clients",
    "latency",
    "bandwidth",
    "reset",
    "slow-close",
    "black-hole",
    "slice",
    "lost-reply",
    "kill-primary",
    "kill-secondary",
    "kill-majority",
    "kill-all",
    "pause-primary",
    "stepdown",
    "lag",
    "crash-client",
]


def test_every_name_of_the_design_is_there_and_told() -> None:
    """Each fault has the name it is looked up by and one line of explanation, and no line is left over."""
    assert list(FAULTS) == DESIGN
    assert all(fault.name == name for name, fault in FAULTS.items())
    assert set(FAULT_NAMES) == {*DESIGN, "none", "failpoint:COMMAND:ERROR"}
    assert all(len(text) <= 100 and "\n" not in text for text in FAULT_NAMES.values())


def test_names_are_joined_with_plus_and_none_is_none() -> None:
    """The order of the text is kept."""
    assert parse_faults("none") == ()
    assert parse_faults("") == ()
    names = [fault.name for fault in parse_faults("lag + kill-primary+failpoint:insert:91")]
    assert names == ["lag", "kill-primary", "failpoint:insert:91"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("partition-primry", "partition-primary"),
        ("kill-leader", "kill-"),
        ("lag+kil-all", "kill-all"),
        ("lag+none", "leave it out"),
        ("lag++stepdown", "known"),
        ("lag+lag", "once"),
        ("failpoint", "failpoint:COMMAND:ERROR"),
        ("failpoint:insert", "failpoint:COMMAND:ERROR"),
        ("failpoint::91", "failpoint:COMMAND:ERROR"),
        ("failpoint:in sert:91", "failpoint:COMMAND:ERROR"),
        ("failpoint:insert:-5", "failpoint:COMMAND:ERROR"),
        ("failpoint:insert:0", "close"),
        ("failpoint:insert:write-concern:", "failpoint:COMMAND:ERROR"),
        ("failpoint:insert:write-conern:91", "failpoint:COMMAND:ERROR"),
        ("failpoint:insert:NotWriteablePrimary", "NotWritablePrimary"),
        ("failpoint:find:lost-reply", "insert"),
        ("failpoint:insert:91+failpoint:find:50", "a run of its own"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write(text: str, hint: str) -> None:
    """Unknown names get near matches, malformed failpoints the grammar, impossible combinations a way out."""
    with pytest.raises(UsageError) as raised:
        parse_faults(text)
    assert hint in raised.value.next_step


@pytest.mark.parametrize(
    ("error", "data"),
    [
        ("10107", {"errorCode": 10107}),
        ("NotWritablePrimary", {"errorCode": 10107}),
        ("close", {"closeConnection": True}),
        ("close-connection", {"closeConnection": True}),
        (
            "write-concern:ShutdownInProgress",
            {
                "writeConcernError": {
                    "code": 91,
                    "codeName": "ShutdownInProgress",
                    "errmsg": "asked for by failpoint:update:write-concern:ShutdownInProgress",
                }
            },
        ),
    ],
)
def test_a_failpoint_says_what_the_server_is_to_do(error: str, data: dict) -> None:
    """Each form of ERROR becomes the failpoint's document."""
    (fault,) = parse_faults(f"failpoint:update:{error}")
    assert fault.failpoint == "failCommand"
    assert fault.data == {"failCommands": ["update"], **data}


def test_lost_replies_of_the_server_are_those_of_all_retryable_writes() -> None:
    """The server cannot tell commands apart there, and the fault's own words say so."""
    (fault,) = parse_faults("failpoint:insert:lost-reply")
    assert fault.failpoint == "onPrimaryTransactionalWrite"
    assert "whichever its command" in fault.summary


def test_what_a_backend_cannot_do_is_refused_before_the_run() -> None:
    """The missing power and the missing client group are named."""
    faults = parse_faults("split-clients+kill-all")
    refuse_impossible(faults, backend="local", capabilities=ALL, client_groups=2)
    with pytest.raises(UsageError) as raised:
        refuse_impossible(faults, backend="local", capabilities=ALL, client_groups=1)
    assert "--client-groups 2" in raised.value.next_step
    with pytest.raises(UsageError, match=r"uri.*kill-all.*kill"):
        refuse_impossible(parse_faults("kill-all"), backend="uri", capabilities=ALL - {"kill"}, client_groups=1)
