"""The short forms of a report: Markdown for a step summary, JUnit for a CI server, a table for the console."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from harness import store
from harness.report import words
from harness.report.answers import NO_FAULT, backing_of, kinds_of, mark_of, state_of
from harness.report.model import CellReport, CellState, Finding, Mark, Report
from harness.result import CellResult

if TYPE_CHECKING:
    from rich.text import Text

SUMMARY_BYTES = 900_000
"""GitHub refuses a step summary of 1 MiB."""
SUMMARY_CELLS = 300
SUMMARY_FINDINGS = 40
TABLE_WIDTH = 120
NAME_CHARACTERS = 40

_SIGNS: dict[CellState, str] = {"violated": "✘", "holds": "✔", "unknown": "?", "not-applicable": "-", "not-run": "."}
_STYLES: dict[CellState, str] = {"violated": "red", "holds": "blue", "unknown": "yellow"}
_STATE_RANK: dict[CellState, int] = {"violated": 0, "unknown": 1, "holds": 2, "not-applicable": 3, "not-run": 4}
_MARK_RANK: dict[Mark, int] = {"surprise": 0, "undeclared": 1, "expected": 2}


def summary_markdown(report: Report) -> str:
    """Return the summary of a campaign, worst first, well below the size that GitHub takes."""
    cells = sorted(report.cells, key=lambda cell: (_MARK_RANK[cell.mark], _STATE_RANK[cell.state], cell.number))
    surprises = f" **{words.count_of(report.surprises, 'surprise')}.**" if report.surprises else " No surprise."
    lines = [f"## {_md(report.headline)}", "", f"Campaign {_md(report.campaign)}.{surprises}", ""]
    lines += [f"- **{_md(s.name)}** ({_md(s.backend)}): {_md(s.headline)}" for s in report.scenarios]
    lines += ["", *_markdown_table(cells[:SUMMARY_CELLS])]
    if len(cells) > SUMMARY_CELLS:
        lines += ["", f"Showing {SUMMARY_CELLS} of {len(cells)} cells; the report has them all."]
    for finding in report.findings[:SUMMARY_FINDINGS]:
        lines += ["", *_markdown_finding(finding)]
    if len(report.findings) > SUMMARY_FINDINGS:
        lines += ["", f"Showing {SUMMARY_FINDINGS} of {len(report.findings)} findings; the report has them all."]
    return _bounded("\n".join(lines) + "\n")


def _bounded(text: str) -> str:
    if len(text.encode()) <= SUMMARY_BYTES:
        return text
    kept = text.encode()[:SUMMARY_BYTES].decode(errors="ignore").rpartition("\n")[0]
    return f"{kept}\n\nCut here: the report has the rest.\n"


def _markdown_table(cells: Iterable[CellReport]) -> Iterator[str]:
    yield "| | scenario | variant | setting | fault | verdict | expected | behind it |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for cell in cells:
        at = cell.result.cell
        verdict = cell.state.replace("-", " ") + (" (surprise)" if cell.mark == "surprise" else "")
        columns = (_SIGNS[cell.state], at.scenario, at.variant, at.setting, at.fault, verdict, cell.result.expected)
        yield "| " + " | ".join(_md(column) for column in (*columns, cell.backing)) + " |"


def _markdown_finding(finding: Finding) -> Iterator[str]:
    mark = {"surprise": ", a surprise", "expected": ", as expected", "undeclared": ""}[finding.mark]
    yield f"### {_md(finding.kind)}: {_md(finding.scenario)} {_md(finding.variant)} ({finding.found:,} found{mark})"
    yield ""
    yield f"Promised: {_md(finding.promised)}"
    yield ""
    yield from (f"{number}. {_md(sentence)}" for number, sentence in enumerate(finding.story, start=1))
    if finding.replay:
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", finding.replay)), default=0))
        yield from ("", fence + "sh", words.sentence(finding.replay, 2_000), fence)


def _md(text: str) -> str:
    """Return ``text`` as one line of Markdown in which nothing is markup, a mention or a table border."""
    shown = words.sentence(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", shown)


def junit_xml(report: Report) -> str:
    """Return a JUnit document with a test case for each cell.

    What came out as declared passes; a surprise fails; an unknown verdict that nobody declared is an error; what
    does not apply is skipped.
    """
    outcomes = [_outcome(cell) for cell in report.cells]
    suite = ET.Element("testsuite", name=_xml(f"harness {report.campaign}"), tests=str(len(outcomes)))
    for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(outcome is not None and outcome.tag == kind for outcome in outcomes)))
    suite.set("time", f"{sum(cell.result.evidence.load_s for cell in report.cells):.1f}")
    if report.started_at:
        suite.set("timestamp", _xml(report.started_at))
    for cell, outcome in zip(report.cells, outcomes, strict=True):
        suite.append(_test_case(report, cell, outcome))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _test_case(report: Report, cell: CellReport, outcome: ET.Element | None) -> ET.Element:
    at = cell.result.cell
    case = ET.Element(
        "testcase",
        classname=_xml(f"{at.scenario}.{at.variant}"),
        name=_xml(f"{at.setting} / {at.fault} ({at.backend})"),
        time=f"{cell.result.evidence.load_s:.1f}",
    )
    properties = ET.SubElement(case, "properties")
    pairs = (
        ("seed", "" if cell.seed is None else str(cell.seed)),
        ("run", cell.telling_run),
        ("report", f"{report.directory / store.REPORT}#{cell.link}"),
        ("verdict", cell.state),
        ("expected", cell.result.expected),
        ("replay", cell.result.replay),
    )
    for name, content in pairs:
        ET.SubElement(properties, "property", name=name, value=_xml(content))
    if outcome is not None:
        case.append(outcome)
    told = [line for anchor in cell.findings for line in _told(report.finding(anchor))]
    if told:
        ET.SubElement(case, "system-out").text = _xml("\n".join(told), keep="\n")
    return case


def _told(finding: Finding) -> Iterator[str]:
    yield f"{finding.kind}: {finding.promised}"
    yield from (f"  {number}. {sentence}" for number, sentence in enumerate(finding.story, start=1))


def _outcome(cell: CellReport) -> ET.Element | None:
    result = cell.result
    expected = f"expected: {result.expected or 'nothing was declared'}"
    if cell.state == "violated" and cell.mark == "surprise":
        kind = next(iter(result.anomalies), "violated")
        return ET.Element("failure", type=_xml(kind), message=_xml(f"{cell.backing}; {expected}"))
    if cell.state == "holds" and cell.mark == "surprise":
        return ET.Element("failure", type="surprise", message=_xml(f"holds; {expected} ({result.expected_why})"))
    if cell.state == "not-applicable":
        if cell.mark == "surprise":
            return ET.Element("error", type="not-applicable", message=_xml(f"{cell.backing}; {expected}"))
        return ET.Element("skipped", message=_xml(cell.backing))
    if cell.state == "unknown":
        return ET.Element("error", type="unknown", message=_xml(f"{cell.backing}; {expected}"))
    return None


def _xml(text: str, *, keep: str = "") -> str:
    """Return ``text`` without the characters that XML forbids; ElementTree escapes markup and not those."""
    return words.sentence(text, 20_000, keep=keep)


def verdict_table(cells: Iterable[CellResult], *, width: int = TABLE_WIDTH, color: bool = False) -> str:
    """Return the verdicts as a table for the console, two lines a cell, at most ``width`` characters wide.

    Each verdict stands beside what was declared and what is behind it; below it, what was found or why it is
    unknown. Colours only where asked.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("cell", overflow="fold", min_width=26)
    table.add_column("verdict", overflow="fold", min_width=20)
    table.add_column("expected", no_wrap=True)
    table.add_column("evidence", overflow="fold")
    for result in cells:
        state, at = state_of(result), result.cell
        scenario, variant, setting, fault = (
            words.sentence(name, NAME_CHARACTERS) for name in (at.scenario, at.variant, at.setting, at.fault)
        )
        table.add_row(
            Text(f"{scenario} {variant}\n  {setting}, {fault}"),
            _verdict_text(result, state),
            Text(result.expected or "nothing"),
            Text(_evidence(result)),
        )
    output = io.StringIO()
    console = Console(file=output, width=width, force_terminal=color, no_color=not color, highlight=False, emoji=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines()) + "\n"


def _verdict_text(result: CellResult, state: CellState) -> Text:
    from rich.text import Text

    surprise = mark_of(result) == "surprise"
    style = f"bold {_STYLES.get(state, '')}" if surprise else _STYLES.get(state, "dim")
    text = Text(f"{_SIGNS[state]} {state.replace('-', ' ')}{', SURPRISE' if surprise else ''}", style=style)
    if state != "holds":
        text.append(f"\n{kinds_of([result]) if state == 'violated' else backing_of(result)}", style="")
    return text


def _evidence(result: CellResult) -> str:
    evidence = result.evidence
    statuses = f"{evidence.ok:,} ok, {evidence.fail:,} fail, {evidence.info:,} info"
    if result.cell.fault == NO_FAULT:
        return statuses
    return f"{statuses}\n{evidence.effective_strikes} of {words.count_of(evidence.strikes, 'strike')} effective"
