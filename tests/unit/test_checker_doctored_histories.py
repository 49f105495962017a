"""The doctored histories under tests/histories: each bad one is found under its name, each good twin is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctored_checkers import DOCTORED_CHECKERS

from harness.checkers import ANOMALY_KINDS, run_checkers
from harness.history import History, build_history
from harness.journal import read_journal

HISTORIES = Path(__file__).parents[1] / "histories"
BAD = sorted((HISTORIES / "bad").glob("*/*.jsonl"))


def _history(path: Path) -> History:
    return build_history(read_journal(path).events)


def _name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", BAD, ids=_name)
def test_a_doctored_history_is_found(path: Path) -> None:
    """A bad history is violated, with the anomaly that its folder names, evidence that exists and a story."""
    history = _history(path)
    (verdict,) = run_checkers(history, [DOCTORED_CHECKERS[path.stem]])
    assert verdict.status == "violated", verdict
    anomaly = next((one for one in verdict.anomalies if one.kind == path.parent.name), None)
    assert anomaly is not None, [one.kind for one in verdict.anomalies]
    assert anomaly.story
    assert all(sentence.endswith(".") or sentence.startswith("The message was") for sentence in anomaly.story)
    assert all(history.operation(index) for index in anomaly.operations)


@pytest.mark.parametrize("path", BAD, ids=_name)
def test_its_good_twin_is_not(path: Path) -> None:
    """The twin of a bad history, as near to it as can be, holds."""
    twin = HISTORIES / "good" / path.parent.name / path.name
    (verdict,) = run_checkers(_history(twin), [DOCTORED_CHECKERS[path.stem]])
    assert verdict.status == "holds", verdict


def test_every_kind_of_anomaly_has_a_doctored_history() -> None:
    """What a checker claims to find is shown to be found at least once, and no folder is misnamed."""
    assert {path.parent.name for path in BAD} == set(ANOMALY_KINDS)


def test_every_good_history_has_a_bad_twin() -> None:
    """No good history stands alone: it would prove little."""
    good = {(path.parent.name, path.name) for path in (HISTORIES / "good").glob("*/*.jsonl")}
    assert good == {(path.parent.name, path.name) for path in BAD}
