"""Renders the report as one offline HTML file; how it looks lies in ``reports/``.

Every text is escaped by the template engine. What is markup already comes from two places, each of which escapes
what it puts in: the drawings of a finding and the links in a story.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import jinja2
from markupsafe import Markup, escape

from harness.assets import report_assets
from harness.report import words
from harness.report.model import EvidenceOperation, Finding, MatrixRow, Report

PAGE_BYTES = 10_000_000
"""No page grows beyond this; what is left out for it is said on the page."""
RUN_LIMIT = 400
_OPERATION_WORDS = ("operation ", "Operation ", "operation #", "Operation #")
SCRIPTS = ("codec.js", "axis.js", "lanes.js", "plots.js", "page.js")

STATE_WORDS = {
    "violated": "violated",
    "holds": "holds",
    "unknown": "unknown",
    "not-applicable": "not applicable",
    "not-run": "not run",
}
ANSWER_WORDS = {"yes": "Yes", "partly": "Partly", "no": "No", "unknown": "Not known"}
ANSWER_ICONS = {"yes": "holds", "partly": "partly", "no": "violated", "unknown": "unknown"}


def render_html(report: Report) -> str:
    """Return the page; where it would exceed :data:`PAGE_BYTES`, timelines are left out from the last on, and said."""
    page = _render(report)
    timelines = list(report.timelines)
    while len(page.encode()) > PAGE_BYTES and any(timeline.payload for timeline in timelines):
        last = max(position for position, timeline in enumerate(timelines) if timeline.payload)
        timelines[last] = replace(timelines[last], payload="", shown=0, note="left out: the page is limited to 10 MB")
        page = _render(replace(report, timelines=tuple(timelines)))
    return page


def _render(report: Report) -> str:
    script = "\n".join(_asset("scripts", name) for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            title=_title(report),
            style=Markup(_asset("styles", "report.css")),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own files
            script_digest=Markup(digest),  # noqa: S704 - base64 of a hash
            state_words=STATE_WORDS,
            answer_words=ANSWER_WORDS,
            answer_icons=ANSWER_ICONS,
            run_limit=RUN_LIMIT,
        )
    )


def _title(report: Report) -> str:
    names = list(dict.fromkeys(scenario.name for scenario in report.scenarios))
    what = names[0] if len(names) == 1 else f"these {len(names)} patterns" if names else "these patterns"
    return f"May I adopt {what}, and under which settings?"


def _asset(folder: str, name: str) -> str:
    return (report_assets() / folder / name).read_text("utf-8")


def style_sheet() -> Markup:
    """Return the style sheet, to be put into a page as it is."""
    return Markup(_asset("styles", "report.css"))  # noqa: S704 - our own file


def environment() -> jinja2.Environment:
    """Return the template environment: autoescape always on, an undefined name an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(report_assets() / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "seen": words.sentence,
        "count": words.number,
        "many": words.count_of,
        "seconds": words.seconds,
        "span": words.duration,
        "moment": _moment,
        "ms": lambda value: "none" if value is None else words.duration(value * 1_000),
        "json_value": lambda value: words.value(value, 400),
        "linked": _linked,
        "trusted_picture": Markup,  # drawn by picture.py and messages.py, which escape
        "groupby_variant": _group_by_variant,
    }
    return made


def _moment(text: str) -> str:
    """Return an ISO time to the second: ``2026-11-24 23:15:00 UTC``."""
    shown = words.sentence(text, 40).replace("T", " ", 1)
    return re.sub(r"\.\d+", "", shown).replace("+00:00", " UTC") or "not recorded"


def _group_by_variant(rows: Iterable[MatrixRow]) -> list[tuple[str, list[MatrixRow]]]:
    return [(variant, list(group)) for variant, group in itertools.groupby(rows, key=lambda row: row.variant)]


def _linked(sentence: str, finding: Finding) -> Markup:
    """Return a sentence of a story, escaped, with a link wherever it names an operation of the evidence."""
    named = _names_in_stories(finding)
    if not named:
        return escape(sentence)
    # The longest name first, so that "operation 12" is not taken for "operation 1".
    pattern = "|".join(re.escape(name) for name in sorted(named, key=len, reverse=True))
    parts: list[str] = []
    linked: set[int] = set()
    for part in re.split(rf"({pattern})(?!\w)", sentence):
        operation = named.get(part)
        if operation is None or operation.index in linked:
            parts.append(escape(part))
        else:
            linked.add(operation.index)
            parts.append(_operation_link(part, operation, finding))
    return Markup("").join(parts)


def _names_in_stories(finding: Finding) -> dict[str, EvidenceOperation]:
    """Return the texts by which a story names an operation; what could mean two of them names none."""
    mentions = Counter(operation.mention for operation in finding.operations)
    named = {f"{word}{operation.index}": operation for operation in finding.operations for word in _OPERATION_WORDS}
    for operation in finding.operations:
        if mentions[operation.mention] == 1:
            named[operation.mention] = named[operation.mention.replace("client", "Client", 1)] = operation
    return named


def _operation_link(text: str, operation: EvidenceOperation, finding: Finding) -> Markup:
    link = Markup('<a href="#{}-op-{}">{}</a> {}')
    return link.format(finding.anchor, operation.index, operation.name, text)
