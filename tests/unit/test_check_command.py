"""``harness check`` on a file: verdicts, exit codes, export, and what a user is told."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from harness.cli.check_command import CheckOptions
from harness.cli.main import execute

ROOT = Path(__file__).parents[2]
JEPSEN = ROOT / "tests" / "histories" / "jepsen"

VERDICTS = {
    "register-timed-out-write-read-later.edn --model register": 0,
    "register-stale-read.edn --model register": 1,
    "register-failed-write-read.edn --model register": 1,
    "register-read-goes-back-and-forth.edn --model cas-register": 1,
    "cas-register-concurrent.edn --model cas-register": 0,
    "cas-register-two-winners.edn --model cas-register": 1,
    "cas-register-independent-keys.edn --model cas-register": 0,
    "cas-register-independent-keys.edn --model cas-register --key 4": 0,
    "cas-register-one-bad-key.edn --model cas-register --independent": 1,
    "cas-register-one-bad-key.edn --model cas-register --independent --key 4": 0,
    "cas-register-worker-log.log --model cas-register": 0,
    "cas-register-worker-log.log --model cas-register --initial 7": 1,
    "cas-register-lost-update.log --model cas-register --format jepsen-log": 1,
    "cas-register-one-bad-key.edn --model cas-register": 4,
    "cas-register-two-winners.edn --model register": 4,
    "cas-register-two-winners.edn --model cas-regster": 3,
    "cas-register-two-winners.edn --model cas-register --key ]": 3,
    "cas-register-two-winners.edn --model cas-register --key 9": 3,
    "cas-register-two-winners.edn --model cas-register --initial '1 2'": 3,
    "cas-register-two-winners.edn": 3,
    "nowhere.edn --model register": 3,
}


def run(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run ``harness check`` on a file of tests/histories/jepsen; return its code, output and errors."""
    name, *options = shlex.split(words)
    code = execute(["check", str(JEPSEN / name), *options])
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.mark.parametrize(("words", "code"), VERDICTS.items())
def test_known_histories_have_their_verdicts(words: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Histories whose verdict is known exit with it; what makes no sense exits as usage, what does not fit as error."""
    found, _, errors = run(words, capsys)
    assert found == code, errors
    assert "Traceback" not in errors


def test_a_violation_is_told_and_can_be_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """The output names lines, operations and the story; its last line repeats it, with the same outcome."""
    code, _, errors = run("register-stale-read.edn --model cas-register --initial 0", capsys)
    assert code == 1
    assert re.search(r"line 6: operation 5, client 2 read\(\) returned 1", errors)
    last = errors.splitlines()[-1]
    assert last.startswith("repeat: harness check ")
    assert last.endswith("register-stale-read.edn --model cas-register --initial 0")
    assert execute(shlex.split(last)[2:]) == 1


def test_verdicts_are_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the verdict is one line on standard output, and nothing else is."""
    _, output, _ = run("register-stale-read.edn --model register --json", capsys)
    (line,) = output.splitlines()
    assert json.loads(line)["status"] == "violated"


@pytest.mark.parametrize("suffix", [".edn", ".edn.gz", ".log", ".jsonl", ".jsonl.gz"])
def test_an_exported_history_has_the_same_verdict(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A history that was written in another format is judged there as before, and no file is written over."""
    out = tmp_path / f"out{suffix}"
    code, _, _ = run(f"cas-register-two-winners.edn --model cas-register --export {out}", capsys)
    assert code == 1
    assert execute(["check", str(out), "--model", "cas-register"]) == 1
    assert run(f"cas-register-concurrent.edn --export {out}", capsys)[0] == 3


def test_an_export_needs_a_name_with_a_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that says no format is a usage error, before anything is read."""
    assert run(f"cas-register-concurrent.edn --export {tmp_path / 'out.csv'}", capsys)[0] == 3


def test_options_of_files_are_refused_for_stored_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stored run has checkers of its own: a model beside it is a usage error."""
    assert execute(["check", str(tmp_path), "--model", "register"]) == 3
    assert "no file" in capsys.readouterr().err


def test_every_option_is_in_the_reference() -> None:
    """Each option of ``harness check`` on a file has its row."""
    text = (ROOT / "docs" / "reference" / "command-line.md").read_text()
    section = text.partition("## Options of `harness check`")[2].partition("\n## ")[0]
    names = [field.name for field in fields(CheckOptions)] + ["runs", "expect", "json"]
    assert [name for name in names if f"`--{name.replace('_', '-')}" not in section] == []
