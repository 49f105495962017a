"""Writes what a campaign hands out: the page, the summary, the JUnit file, and the index of its store."""

from __future__ import annotations

from pathlib import Path

from harness import store
from harness.report.build import build_report
from harness.report.html import render_html
from harness.report.index import write_store_index
from harness.report.summary import junit_xml, summary_markdown


def write_report(campaign: Path) -> Path:
    """Render a stored campaign, write its page, summary and JUnit file and the store's index; return the page's path.

    Raises StoreError where the campaign cannot be read or a file not be written.
    """
    report = build_report(campaign, store.read_scenarios(campaign))
    path = campaign / store.REPORT
    store.write_bytes(path, render_html(report).encode())
    store.write_bytes(campaign / store.SUMMARY, summary_markdown(report).encode())
    store.write_bytes(campaign / store.JUNIT, junit_xml(report).encode())
    write_store_index(campaign.parent)
    return path
