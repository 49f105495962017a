"""The report in a real browser, opened from the file system: from the matrix to a finding to the timeline."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from components import missing
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait
from synthetic_campaign import cell_result, lost_writes, write_campaign
from synthetic_run import CAMPAIGN, Plan, cell, partitions, write_run

from harness import store
from harness.report.write import write_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WAIT_S = 30
LARGE = 50_000
FLUENT_MS = 250
"""A redraw took about 10 ms on an idle machine; the bound leaves room for a busy one and still catches a redraw that
costs as much as the run did."""
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page that is still scrolling moves away from under the pointer.
    "--force-prefers-reduced-motion",
    "--window-size=1280,900",
)
LANES_LEFT = 96
LANES_HEAD = 52
MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Headless Chromium with a profile of its own."""
    if MISSING:
        missing(f"not on the PATH: {', '.join(MISSING)}")
    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options=options, service=Service(executable_path=str(shutil.which("chromedriver"))))
    try:
        browser.set_window_size(1280, 900)
        yield browser
    finally:
        browser.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the report of a campaign with findings, a surprise and hostile values."""
    return write_report(write_campaign(tmp_path_factory.mktemp("store"), operations=1_500))


@pytest.fixture
def opened(driver: Chrome, page: Path) -> Chrome:
    """Open the report freshly from the file system."""
    driver.get("about:blank")
    driver.get(page.as_uri())
    wait_drawn(driver)
    return driver


def wait_until(driver: Chrome, condition: Any) -> Any:
    """Return what ``condition(driver)`` returns once it is true."""
    return WebDriverWait(driver, WAIT_S, poll_frequency=0.05).until(condition)


def wait_drawn(driver: Chrome) -> None:
    """Wait for the first drawing of the timeline."""
    wait_until(driver, lambda d: lanes(d).get_attribute("data-redraw-ms"))


def lanes(driver: Chrome) -> WebElement:
    """Return the canvas of the lanes."""
    return driver.find_element(By.ID, "lanes")


def view(driver: Chrome) -> tuple[int, int]:
    """Return the microseconds between which the timeline is shown."""
    canvas = lanes(driver)
    return int(str(canvas.get_attribute("data-from"))), int(str(canvas.get_attribute("data-to")))


def wait_steady(driver: Chrome, element: WebElement) -> None:
    """Wait until an element keeps its place on the screen."""
    script = "return arguments[0].getBoundingClientRect().top"
    places: list[float] = []

    def rests(_: Chrome) -> bool:
        places.append(driver.execute_script(script, element))  # type: ignore[no-untyped-call]
        return len(places) > 3 and len(set(places[-4:])) == 1

    wait_until(driver, rests)


def press(driver: Chrome, *keys: str) -> None:
    """Press keys, one after the other."""
    ActionChains(driver).send_keys(*keys).perform()


def in_view(driver: Chrome, element: WebElement) -> bool:
    """Whether the top of an element is on the screen."""
    top = driver.execute_script("return arguments[0].getBoundingClientRect().top", element)  # type: ignore[no-untyped-call]
    return bool(-5 <= top < 900)


def colours(driver: Chrome, canvas: WebElement) -> int:
    """Return how many different colours a canvas shows."""
    script = """
      const c = arguments[0], seen = new Set();
      const data = new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer);
      for (let i = 0; i < data.length; i += 7) seen.add(data[i]);
      return seen.size;"""
    return int(driver.execute_script(script, canvas))  # type: ignore[no-untyped-call]


def severe(driver: Chrome) -> list[str]:
    """Return the errors that the page logged, refused requests included."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]


def test_a_click_leads_from_the_matrix_to_the_finding(opened: Chrome) -> None:
    """A violated cell of the matrix is one click away from the story of what happened."""
    place = opened.find_element(By.CSS_SELECTOR, "a.cell.violated.expected")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", place)  # type: ignore[no-untyped-call]
    place.click()
    finding = opened.find_element(By.ID, "finding-write_concern-published-lost-write")
    wait_until(opened, lambda d: in_view(d, finding))
    assert "was acknowledged with w=1 by the member that had just been cut off" in finding.text
    assert severe(opened) == []


def test_the_evidence_leads_to_its_operation_on_the_timeline(opened: Chrome) -> None:
    """From the evidence table one click shows the operation among the others, selected, with the fault around it."""
    finding = opened.find_element(By.ID, "finding-write_concern-published-lost-write")
    link = finding.find_element(By.CSS_SELECTOR, "a.jump")
    opened.execute_script("arguments[0].click()", link)  # type: ignore[no-untyped-call]
    index = str(link.get_attribute("href")).rpartition("op=")[2]
    wait_until(opened, lambda d: lanes(d).get_attribute("data-selected") == index)
    assert lanes(opened).get_attribute("data-run") == finding.get_attribute("data-run")
    detail = opened.find_element(By.ID, "detail").text
    assert 'write(key="c' in detail
    assert "Lost write" in detail
    start, end = view(opened)
    assert end - start < 5_000_000


def test_keys_go_from_evidence_to_evidence(opened: Chrome) -> None:
    """The keys n and p walk through the evidence of the findings, across runs too."""
    press(opened, "n")
    wait_until(opened, lambda d: lanes(d).get_attribute("data-selected") == "0")
    press(opened, "n")
    wait_until(opened, lambda d: lanes(d).get_attribute("data-selected") == "1")
    press(opened, "p", "p")
    first_run = Select(opened.find_element(By.ID, "run-choice")).options[0].get_attribute("value")
    wait_until(opened, lambda d: lanes(d).get_attribute("data-run") != first_run)
    assert "evidence of" in opened.find_element(By.ID, "detail").text


def test_the_timeline_draws_operations_bands_and_plots(opened: Chrome) -> None:
    """None of the four drawings is blank, and the overview and lanes show many things."""
    Select(opened.find_element(By.ID, "run-choice")).select_by_index(1)
    wait_until(opened, lambda d: lanes(d).get_attribute("data-run") != "")
    for name, least in (("lanes", 8), ("overview", 6), ("rate", 6), ("latency", 4)):
        assert colours(opened, opened.find_element(By.ID, name)) >= least, name


def test_zooming_and_going_back_to_the_whole_run(opened: Chrome) -> None:
    """Wheel after a click, keys and the overview's brush change the span; 0 shows everything again."""
    whole = view(opened)
    canvas = lanes(opened)
    opened.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)  # type: ignore[no-untyped-call]
    ActionChains(opened).move_to_element(canvas).click().perform()
    script = """arguments[0].dispatchEvent(new WheelEvent("wheel", {deltaY: -300, bubbles: true, cancelable: true,
      clientX: arguments[0].getBoundingClientRect().left + 500}))"""
    opened.execute_script(script, canvas)  # type: ignore[no-untyped-call]
    wait_until(opened, lambda d: view(d)[1] - view(d)[0] < 0.5 * (whole[1] - whole[0]))
    press(opened, "0")
    wait_until(opened, lambda d: view(d) == whole)
    overview = opened.find_element(By.ID, "overview")
    ActionChains(opened).move_to_element(overview).click_and_hold().move_by_offset(120, 0).release().perform()
    wait_until(opened, lambda d: view(d)[1] - view(d)[0] < 0.3 * (whole[1] - whole[0]))


def test_a_click_in_the_lanes_selects_the_operation_under_it(opened: Chrome) -> None:
    """What is under the pointer is told beside it, and what is clicked is told below."""
    press(opened, "n")
    wait_until(opened, lambda d: lanes(d).get_attribute("data-selected") == "0")
    told = opened.find_element(By.ID, "detail").text
    at = float(told.split("when")[1].split(" s")[0]) * 1e6 + 1_000
    press(opened, Keys.ESCAPE)
    wait_until(opened, lambda d: lanes(d).get_attribute("data-selected") is None)
    canvas = lanes(opened)
    start, end = view(opened)
    width = canvas.size["width"]
    opened.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)  # type: ignore[no-untyped-call]
    wait_steady(opened, canvas)
    x = LANES_LEFT + (at - start) / (end - start) * (width - LANES_LEFT - 12) - width / 2
    y = LANES_HEAD + 6 - canvas.size["height"] / 2
    ActionChains(opened).move_to_element_with_offset(canvas, int(x) + 1, int(y)).perform()
    wait_until(opened, lambda d: 'key="c0-0"' in d.find_element(By.ID, "tip").text)
    ActionChains(opened).click().perform()
    wait_until(opened, lambda d: lanes(d).get_attribute("data-selected") == "0")


def test_lanes_by_member_and_the_filter(opened: Chrome) -> None:
    """Lanes can follow the member that answered; a filter narrows what is drawn and says how much."""
    assert lanes(opened).get_attribute("data-lanes") == "process"
    opened.execute_script("document.querySelector('input[value=member]').click()")  # type: ignore[no-untyped-call]
    wait_until(opened, lambda d: lanes(d).get_attribute("data-lanes") == "member")
    assert colours(opened, lanes(opened)) >= 6
    opened.find_element(By.ID, "filter").send_keys("status:info")
    wait_until(opened, lambda d: d.find_element(By.ID, "showing").text.startswith("showing "))
    shown, _, total = opened.find_element(By.ID, "showing").text.removeprefix("showing ").partition(" of ")
    assert 0 < int(shown) < int(total.replace(",", ""))


def test_a_link_restores_what_was_seen(opened: Chrome, page: Path) -> None:
    """The state lives in the URL fragment, so that a link can be sent."""
    press(opened, "n")
    wait_until(opened, lambda d: "op=0" in d.current_url)
    address = opened.current_url
    opened.get("about:blank")
    opened.get(address)
    wait_until(opened, lambda d: lanes(d).get_attribute("data-selected") == "0")
    assert page.name in address


def test_no_hostile_value_runs(opened: Chrome) -> None:
    """Values that try to break out of text, attributes, scripts and JSON stay values, in the details too."""
    for _ in range(6):
        press(opened, "n")
    wait_until(opened, lambda d: lanes(d).get_attribute("data-selected") == "5")
    assert opened.execute_script("return window.hostile === undefined")  # type: ignore[no-untyped-call]
    assert "<img src=x onerror" in opened.find_element(By.ID, "detail").text
    assert not opened.find_elements(By.CSS_SELECTOR, "img, iframe")
    assert severe(opened) == []


@pytest.mark.timeout(300)
def test_fifty_thousand_operations_stay_fluent(driver: Chrome, tmp_path: Path) -> None:
    """A redraw of a large run costs what the screen can show."""
    plan = Plan(
        cell=cell("write_concern", "published", "w=1", "partition-primary"),
        operations=LARGE,
        duration_s=60,
        strikes=partitions(),
        loses_writes=True,
    )
    verdict = write_run(tmp_path, plan, lost_writes(plan))
    store.write_cells(tmp_path / CAMPAIGN, [cell_result(plan, verdict)])
    path = write_report(tmp_path / CAMPAIGN)
    assert path.stat().st_size < 2_000_000
    driver.get(path.as_uri())
    wait_drawn(driver)
    script = """
      const done = arguments[arguments.length - 1], canvas = document.getElementById("lanes"), costs = [];
      const next = () => {
        costs.push(Number(canvas.dataset.redrawMs));
        if (costs.length > 20) return done(costs.sort((a, b) => a - b)[10]);
        window.dispatchEvent(new Event("resize"));
        requestAnimationFrame(() => requestAnimationFrame(next));
      };
      next();"""
    median_ms = driver.execute_async_script(script)  # type: ignore[no-untyped-call]
    assert median_ms < FLUENT_MS
