"""The doctor: what it finds on a machine, and how it says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.backends.local.directories import create_directory
from harness.cli import doctor
from harness.cli.doctor import Finding, available_memory_bytes, examine, render, summarize


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the machine look as if nothing was installed; return the folder that is its PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HARNESS_DIRECTORY", str(tmp_path / "sets"))
    for name in ("MONGOD", "TOXIPROXY_SERVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor.nss, "find_library", lambda: None)
    return programs


def program(path: Path, text: str, code: int = 0) -> None:
    """Write a program that prints a text and ends with a code."""
    path.write_text(f"#!/bin/sh\necho '{text}'\nexit {code}\n")
    path.chmod(0o755)


def by_component(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    """Return the findings by their component."""
    return {finding.component: finding for finding in findings}


def test_a_bare_machine_is_told_what_to_get(bare_machine: Path) -> None:
    """Where nothing is installed, every missing component says what it is for or how to get it."""
    found = by_component(examine(str(bare_machine / "mongod")))
    assert found["mongod"].status == "problem"
    assert found["mongod"].remedy
    assert {name for name, finding in found.items() if finding.status == "missing"} == {
        "Toxiproxy",
        "nss_wrapper",
        "Go",
        "browser",
        "Docker",
    }
    assert "apt-get install libnss-wrapper" in found["nss_wrapper"].remedy
    assert "no Chromium and no chromedriver" in found["browser"].detail


def test_what_is_installed_is_named_with_its_version_or_path(bare_machine: Path) -> None:
    """Programs on the PATH are found, and what they say of themselves is shown."""
    program(bare_machine / "mongod", "db version v7.0.1")
    program(bare_machine / "go", "go version go1.26.0 linux/amd64")
    program(bare_machine / "docker", "28.2.2")
    program(bare_machine / "chromium", "")
    program(bare_machine / "chromedriver", "")
    found = by_component(examine())
    assert found["mongod"].detail == f"7.0.1, from the PATH: {bare_machine / 'mongod'}"
    assert found["Go"].detail == "go version go1.26.0 linux/amd64"
    assert "engine 28.2.2" in found["Docker"].detail
    assert found["browser"].status == "ok"
    assert found["Toxiproxy"].status == "ok"
    assert "is built with Go" in found["Toxiproxy"].detail


def test_a_browser_without_its_driver_is_missing(bare_machine: Path) -> None:
    """The tests of the report need both; the one that is lacking is named."""
    program(bare_machine / "chromium", "")
    finding = by_component(examine("nowhere"))["browser"]
    assert (finding.status, finding.detail.partition(";")[0]) == ("missing", "no chromedriver")


def test_an_old_go_does_not_count(bare_machine: Path) -> None:
    """A Go that cannot build Toxiproxy is missing, and so is Toxiproxy."""
    program(bare_machine / "go", "go version go1.19.8 linux/amd64")
    found = by_component(examine("nowhere"))
    assert found["Go"].status == "missing"
    assert found["Toxiproxy"].status == "missing"


def test_a_docker_without_its_engine_is_told(bare_machine: Path) -> None:
    """A client whose engine does not answer is not called usable."""
    (bare_machine / "docker").write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Docker version 28"\n')
    (bare_machine / "docker").chmod(0o755)
    finding = by_component(examine("nowhere"))["Docker"]
    assert finding.status == "missing"
    assert "its engine does not answer" in finding.detail


def test_a_named_toxiproxy_that_is_not_there_is_a_problem(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that the user named and that does not exist is told, not passed over."""
    monkeypatch.setenv("TOXIPROXY_SERVER", str(bare_machine / "none"))
    assert by_component(examine("nowhere"))["Toxiproxy"].status == "problem"
    program(bare_machine / "toxiproxy-server", "")
    monkeypatch.delenv("TOXIPROXY_SERVER")
    assert by_component(examine("nowhere"))["Toxiproxy"].detail == str(bare_machine / "toxiproxy-server")


def test_leftovers_of_a_killed_harness_are_found(bare_machine: Path, tmp_path: Path) -> None:
    """A directory whose owner is dead is a problem with its remedy; one of a living owner is none."""
    living = create_directory()
    assert by_component(examine("nowhere"))["leftovers"].status == "ok"
    stale = living.rename(living.with_name(f"set-{os.getpid()}-1-00000000"))
    finding = by_component(examine("nowhere"))["leftovers"]
    assert (finding.status, finding.remedy) == ("problem", "harness clean")
    assert str(stale) in finding.detail


def test_too_little_memory_or_disk_is_a_problem(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below what three members need, memory and disk are told as problems with the number that is needed."""
    monkeypatch.setattr(doctor, "MEMORY_NEEDED_BYTES", 10**18)
    monkeypatch.setattr(doctor, "DISK_NEEDED_BYTES", 10**18)
    found = by_component(examine("nowhere"))
    assert (found["memory"].status, found["disk"].status) == ("problem", "problem")
    assert "GB" in found["memory"].remedy


def test_the_available_memory_is_read_in_bytes() -> None:
    """The kernel's number is in kibibytes; a text without it gives none."""
    assert available_memory_bytes("MemTotal:  1 kB\nMemAvailable:    2048 kB\n") == 2048 * 1024
    assert available_memory_bytes("") is None


def test_findings_are_rendered_in_columns_with_remedies() -> None:
    """Each component stands on a line with its status; a remedy follows on the next; a sentence sums up."""
    text = render(
        (
            Finding(component="mongod", status="ok", detail="6.0.5"),
            Finding(component="nss_wrapper", status="missing", detail="not installed", remedy="apt-get install it"),
        )
    )
    assert text == (
        "ok       mongod       6.0.5\n"
        "missing  nss_wrapper  not installed\n"
        "                      -> apt-get install it\n"
        "\n"
        "This machine can run patterns on a real replica set, with the built-in links.\n"
    )


def test_the_summary_says_what_can_be_run() -> None:
    """Without mongod patterns are simulated; with Toxiproxy and its library both kinds of links do."""
    names = ("mongod", "Toxiproxy", "nss_wrapper")
    fine = [Finding(component=name, status="ok", detail="") for name in names]
    assert summarize(fine).endswith("with the built-in links and with Toxiproxy.")
    assert summarize(fine[1:]).startswith("This machine simulates patterns")
