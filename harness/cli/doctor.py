"""What this machine can run, and how to get what is missing. Looks only: nothing is installed, built or started.

Examining and rendering are apart: :func:`examine` returns findings, :func:`render` puts them into words.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.backends.links import nss, toxiproxy_server
from harness.backends.local.binary import find_mongod
from harness.backends.local.directories import base_directory, stale_directories
from harness.backends.local.ports import free_ports
from harness.errors import HarnessError

FindingStatus = Literal["ok", "missing", "problem"]
"""``missing``: something optional is not here; ``problem``: runs will fail or suffer."""

OLDEST_PYTHON = (3, 11)
OLDEST_GO = (1, 22)
PORTS_OF_A_SET = 15
"""Servers and links of five members."""
BYTES_PER_MEMBER = 150_000_000
MEMORY_NEEDED_BYTES = 3 * BYTES_PER_MEMBER + 500_000_000
DISK_NEEDED_BYTES = 2_000_000_000
PROBE_TIMEOUT_S = 10.0

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_GIGABYTE = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One component of the machine: what was found, and what to do where it is not as it should be."""

    component: str
    status: FindingStatus
    detail: str
    remedy: str = ""


def examine(mongod: str | None = None) -> tuple[Finding, ...]:
    """Return a finding for each component, the needed ones first; ``mongod`` is what ``--mongod`` would name."""
    return (
        _python(),
        _mongod(mongod),
        _ports(),
        _memory(),
        _disk(base_directory()),
        _leftovers(),
        _toxiproxy(),
        _nss_wrapper(),
        _go(),
        _browser(),
        _docker(),
    )


def render(findings: Sequence[Finding]) -> str:
    """Return the findings as text, one block each, with a sentence on what this machine can do at the end."""
    width = max(len(finding.component) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:<8} {finding.component:<{width}}  {finding.detail}")
        if finding.remedy:
            lines.append(f"{'':<8} {'':<{width}}  -> {finding.remedy}")
    return "\n".join((*lines, "", summarize(findings), ""))


def summarize(findings: Iterable[Finding]) -> str:
    """Return in one sentence what this machine can do."""
    fine = {finding.component for finding in findings if finding.status == "ok"}
    if "mongod" not in fine:
        return "This machine simulates patterns (--backend sim); to run them on a real replica set it needs a mongod."
    if {"Toxiproxy", "nss_wrapper"} <= fine:
        return "This machine can run patterns on a real replica set, with the built-in links and with Toxiproxy."
    return "This machine can run patterns on a real replica set, with the built-in links."


def _python() -> Finding:
    detail = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return Finding(component="Python", status="ok", detail=detail)
    return Finding(component="Python", status="problem", detail=detail, remedy="install Python 3.11 or newer")


def _mongod(explicit: str | None) -> Finding:
    try:
        found = find_mongod(explicit)
    except HarnessError as error:
        return Finding(component="mongod", status="problem", detail=error.message, remedy=error.next_step)
    return Finding(component="mongod", status="ok", detail=f"{found.version}, from {found.source}: {found.path}")


def _ports() -> Finding:
    try:
        free_ports(PORTS_OF_A_SET)
    except HarnessError as error:
        return Finding(component="ports", status="problem", detail=error.message, remedy=error.next_step)
    return Finding(component="ports", status="ok", detail=f"at least {PORTS_OF_A_SET} free on loopback")


def _memory() -> Finding:
    available = available_memory_bytes(_read(Path("/proc/meminfo")))
    if available is None:
        return Finding(component="memory", status="missing", detail="the system does not tell how much is free")
    detail = f"{available / _GIGABYTE:.1f} GB available"
    if available >= MEMORY_NEEDED_BYTES:
        return Finding(component="memory", status="ok", detail=detail)
    remedy = f"three members and their clients need about {MEMORY_NEEDED_BYTES / _GIGABYTE:.1f} GB"
    return Finding(component="memory", status="problem", detail=detail, remedy=remedy)


def available_memory_bytes(meminfo: str) -> int | None:
    """Return what ``/proc/meminfo`` says is available, or None where it does not say."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _disk(base: Path) -> Finding:
    existing = next(path for path in (base, *base.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{free / _GIGABYTE:.1f} GB free for sets in {base}"
    if free >= DISK_NEEDED_BYTES:
        return Finding(component="disk", status="ok", detail=detail)
    remedy = f"free {DISK_NEEDED_BYTES / _GIGABYTE:.0f} GB there, or set $HARNESS_DIRECTORY to another place"
    return Finding(component="disk", status="problem", detail=detail, remedy=remedy)


def _leftovers() -> Finding:
    stale = stale_directories()
    if not stale:
        return Finding(component="leftovers", status="ok", detail="none of a harness that was killed")
    detail = f"{len(stale)} directories of a harness that was killed, the first: {stale[0]}"
    return Finding(component="leftovers", status="problem", detail=detail, remedy="harness clean")


def _toxiproxy() -> Finding:
    try:
        found = toxiproxy_server.named(None)
    except HarnessError as error:
        return Finding(component="Toxiproxy", status="problem", detail=error.message, remedy=error.next_step)
    found = found or shutil.which("toxiproxy-server") or shutil.which("toxiproxy")
    built = toxiproxy_server.cache_directory() / f"toxiproxy-server-{toxiproxy_server.VERSION}"
    if found is None and built.is_file():
        found = str(built)
    if found:
        return Finding(component="Toxiproxy", status="ok", detail=found)
    if _go().status == "ok":
        detail = f"no server yet; {toxiproxy_server.VERSION} is built with Go at the first --network toxiproxy"
        return Finding(component="Toxiproxy", status="ok", detail=detail)
    return Finding(
        component="Toxiproxy",
        status="missing",
        detail="no server, and no Go that could build one; the built-in links serve",
        remedy="put toxiproxy-server on the PATH, or install Go 1.22 or newer",
    )


def _nss_wrapper() -> Finding:
    library = nss.find_library()
    if library:
        return Finding(component="nss_wrapper", status="ok", detail=str(library))
    return Finding(
        component="nss_wrapper",
        status="missing",
        detail="not installed; Toxiproxy links on one machine need it",
        remedy=_as_root(nss.INSTALL),
    )


def _go() -> Finding:
    said = _first_line("go", "version")
    if said is None:
        return Finding(component="Go", status="missing", detail="not installed; only builds Toxiproxy")
    if toxiproxy_server.go_version(said) >= OLDEST_GO:
        return Finding(component="Go", status="ok", detail=said)
    return Finding(
        component="Go",
        status="missing",
        detail=f"{said} is too old to build Toxiproxy",
        remedy="install Go 1.22 or newer",
    )


def _browser() -> Finding:
    browser = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if browser and driver:
        return Finding(component="browser", status="ok", detail=f"{browser}, driven by {driver}")
    lacking = " and no ".join(name for name, path in (("Chromium", browser), ("chromedriver", driver)) if not path)
    return Finding(
        component="browser",
        status="missing",
        detail=f"no {lacking}; only the tests of the report need them",
        remedy=_as_root("apt-get install chromium chromium-driver"),
    )


def _docker() -> Finding:
    client = _first_line("docker", "--version")
    if client is None:
        return Finding(component="Docker", status="missing", detail="not installed; this version does not use it")
    engine = _first_line("docker", "version", "--format", "{{.Server.Version}}")
    if engine:
        return Finding(
            component="Docker", status="ok", detail=f"{client}; engine {engine} (this version does not use it)"
        )
    return Finding(
        component="Docker",
        status="missing",
        detail=f"{client}; its engine does not answer (this version does not use it)",
    )


def _as_root(command: str) -> str:
    return command if os.geteuid() == 0 else f"sudo {command}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _first_line(*command: str) -> str | None:
    """Return the first line that a program prints, or None where it is missing, fails or hangs."""
    program = shutil.which(command[0])
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - the programs are named in this file
            [program, *command[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None
