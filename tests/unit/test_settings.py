"""Settings: what is written on the command line, and what it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.settings import Settings, parse_settings


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", "default"),
        ("default", "default"),
        ("readConcernLevel=majority,w=majority", "w=majority,readConcernLevel=majority"),
        ("w=3,j=true,wtimeoutMS=10000", "w=3,j=true,wtimeoutMS=10000"),
        (" w = 1 ", "w=1"),
        ("w=0", "w=0"),
        ("uniqueIndex=false", "uniqueIndex=false"),
        ("retry=application", "retry=application"),
    ],
)
def test_settings_have_one_canonical_text(text: str, canonical: str) -> None:
    """However a setting is written, its text is the one that names the cell."""
    assert parse_settings(text).text() == canonical


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wMajority=1", "unknown setting"),
        ("readConcernLevl=majority", "readConcernLevel"),
        ("w", "no value"),
        ("w=", "no value"),
        ("w=-1", "out of range"),
        ("w=all", "not a whole number"),
        ("j=perhaps", "not a boolean"),
        ("w=1,w=2", "twice"),
        ("readConcernLevel=strong", "unknown value of readConcernLevel"),
        ("retry=often", "driver"),
    ],
)
def test_a_wrong_setting_is_refused_with_a_hint(text: str, words: str) -> None:
    """What cannot be understood is a usage error that names the culprit."""
    with pytest.raises(UsageError) as caught:
        parse_settings(text)
    assert words in str(caught.value)
    assert caught.value.exit_code == 3


@given(
    st.builds(
        Settings,
        w=st.sampled_from([None, 0, 1, 3, "majority"]),
        j=st.sampled_from([None, True, False]),
        wtimeout_ms=st.sampled_from([None, 1, 5000]),
        read_concern_level=st.sampled_from([None, "local", "snapshot"]),
        read_preference=st.sampled_from([None, "secondary"]),
        retry_writes=st.sampled_from([None, True, False]),
        unique_index=st.sampled_from([None, True, False]),
        retry=st.sampled_from(["driver", "none", "application"]),
        client_clock_skew_ms=st.integers(0, 9),
    )
)
def test_the_text_of_settings_reads_back(settings: Settings) -> None:
    """Parsing the canonical text gives the same settings."""
    assert parse_settings(settings.text()) == settings


def test_an_explicit_retry_option_wins_over_the_retry_mode() -> None:
    """`retry=none` turns the driver's retries off; an explicit retryWrites=true turns that one on again."""
    settings = parse_settings("retry=none,retryWrites=true")
    assert settings.driver_retries_writes
    assert not settings.driver_retries_reads
    assert settings.application_tries == 1
    assert parse_settings("retry=application").application_tries == 3


def test_settings_include_what_they_set() -> None:
    """A row matches a wider pattern, not a narrower or a different one."""
    row = parse_settings("w=1,j=true")
    assert row.includes(parse_settings("w=1"))
    assert not row.includes(parse_settings("w=2"))
    assert not row.includes(parse_settings("w=1,readConcernLevel=local"))
