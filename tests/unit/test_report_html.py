"""The page: one offline file, every value escaped, every link with a target, bounded in size."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from synthetic_campaign import write_campaign
from synthetic_run import HOSTILE

from harness import store
from harness.assets import report_assets
from harness.report import html
from harness.report.build import build_report
from harness.report.html import render_html
from harness.report.index import write_store_index
from harness.report.model import Report
from harness.report.write import write_report

OWN_CODE_BYTES = 150_000


class Page(HTMLParser):
    """Collects ids, links, tags and attribute names of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, content in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(content or "")
            if name in {"href", "src"}:
                self.links.append(content or "")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_campaign(tmp_path_factory.mktemp("store"), operations=400)


@pytest.fixture(scope="module")
def report(campaign: Path) -> Report:
    return build_report(campaign, store.read_scenarios(campaign))


@pytest.fixture(scope="module")
def text(report: Report) -> str:
    return render_html(report)


def test_nothing_is_fetched_from_anywhere(text: str) -> None:
    """The page opens by double-click, offline: it refers to itself and to files beside it alone."""
    page = Page(text)
    assert not [link for link in page.links if re.match(r"[a-z]+:|//", link)]
    assert not {"link", "iframe", "img", "object"} & set(page.tags)
    assert "url(" not in text


def test_every_link_has_a_target(campaign: Path, text: str) -> None:
    """No dead link: anchors exist, and linked files lie in the store."""
    page = Page(text)
    anchors = [link[1:] for link in page.links if link.startswith("#") and not link.startswith("#timeline?")]
    assert len(anchors) > 40
    assert not set(anchors) - set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    files = [link for link in page.links if not link.startswith("#")]
    assert files
    for link in files:
        assert (campaign / link.replace("%3D", "=").replace("%2C", ",")).is_file(), link


def test_hostile_values_stay_text(text: str) -> None:
    """No value from the database becomes a tag, an attribute or a script, whatever it holds."""
    page = Page(text)
    scripts = re.findall(r"<script[^>]*>", text)
    assert len([tag for tag in scripts if "text/plain" not in tag]) == 1
    assert not [name for name in page.attributes if name.startswith("on")]
    assert "img" not in page.tags
    assert "<img src=x" not in text
    assert HOSTILE[0] not in text
    assert "&lt;/script&gt;&lt;script&gt;window.hostile=1" in text
    assert not set("\u2028\u202e\x00") & set(text)
    assert "{{ 7*7 }} {% raw %} ]]&gt; &lt;!-- */ }" in text


def test_a_huge_value_is_cut_with_a_note(text: str) -> None:
    """Twenty thousand characters of one value do not fill the page."""
    assert "more characters)" in text
    assert "H" * 5_000 not in text


def test_the_script_is_the_only_one_that_the_page_allows(text: str) -> None:
    """The content security policy names the hash of the page's own script, so that no other one runs."""
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text


def test_the_answer_does_not_need_javascript(text: str) -> None:
    """Verdict, claim, recommendation, matrix, stories and pictures are there without a script."""
    still = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    for words in (
        "Adopt published only under w=majority; adopt hardened, judged under w=1.",
        "Every acknowledged write is there after the faults are healed, whatever the level.",
        "Write with w=majority wherever a write must survive a failover",
        'class="cell violated expected"',
        'class="cell violated surprise"',
        'class="cell holds expected weak"',
        "was acknowledged with w=1 by the member that had just been cut off",
        '<svg class="picture"',
        "What was not covered",
    ):
        assert words in still


def test_a_matrix_cell_leads_to_its_finding(report: Report, text: str) -> None:
    """The link of a violated cell is the anchor of its worst finding."""
    violated = report.cells[0]
    assert re.search(rf'<a class="cell violated expected" href="#{violated.findings[0]}"', text)


def test_a_story_links_the_operations_that_it_names(text: str) -> None:
    """The words "operation 412" in a story lead to the row that tells operation 412."""
    anchor = "finding-optimistic_lock-published-lost-update-op-412"
    assert f'<a href="#{anchor}">T1</a> Operation 412 and <a' in text
    assert f'id="{anchor}"' in text


def test_code_and_style_are_small() -> None:
    """Our own code, style and templates stay below the budget of 150 KB."""
    assert sum(path.stat().st_size for path in report_assets().rglob("*") if path.is_file()) < OWN_CODE_BYTES


def test_a_page_beyond_the_cap_leaves_timelines_out_and_says_so(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page never exceeds its cap, and the last timelines go first."""
    fat = tuple(dataclasses.replace(drawn, payload="A" * 100_000) for drawn in report.timelines)
    monkeypatch.setattr(html, "PAGE_BYTES", 700_000)
    page = render_html(dataclasses.replace(report, timelines=fat))
    assert len(page.encode()) <= 700_000
    assert "left out: the page is limited to 10 MB" in page
    assert 'id="data-1"' in page


def test_write_report_writes_the_index_of_the_campaign(campaign: Path) -> None:
    """The page lies where the store says, complete, and the store's index links it."""
    path = write_report(campaign)
    assert path == campaign / "index.html"
    assert path.read_text("utf-8").rstrip().endswith("</html>")
    index = write_store_index(campaign.parent).read_text("utf-8")
    assert f'href="{campaign.name}/index.html"' in index
    assert '<span class="state-violated">3</span>' in index


def test_the_index_of_a_store_survives_a_broken_campaign(tmp_path: Path) -> None:
    """A campaign whose cells cannot be read gets a line that says so."""
    campaign = write_campaign(tmp_path, operations=100, hostile=False)
    (campaign / "cells.jsonl").write_text("not json\n")
    index = write_store_index(tmp_path).read_text("utf-8")
    assert "is damaged" in index
    assert "(no report yet)" in index


def test_an_empty_store_has_an_index_with_a_next_step(tmp_path: Path) -> None:
    """A newcomer sees what to type."""
    assert "harness run write_concern" in write_store_index(tmp_path).read_text("utf-8")


def test_a_mention_that_could_mean_two_operations_is_no_link(report: Report) -> None:
    """A story that names an operation by client and arguments is linked only where one alone is meant."""
    finding = next(finding for finding in report.findings if finding.kind == "lost update")
    first, second = finding.operations
    sentence = f"{first.mention.capitalize()[:6]}{first.mention[6:]} was acknowledged."
    assert html._linked(sentence, finding).startswith(f'<a href="#{finding.anchor}-op-412">T1</a> Client ')
    twins = dataclasses.replace(finding, operations=(first, dataclasses.replace(second, mention=first.mention)))
    assert "<a" not in html._linked(sentence, twins)
