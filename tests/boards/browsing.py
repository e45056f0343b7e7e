"""One browser for all tests of the page, a page in it that must stay quiet, and what it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Request

CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 900}}
Visit = Callable[..., "Page"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}: install Debian's package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*QUIET])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """A function that opens an address; in the end no error and no other request was seen."""
    seen: list[str] = []
    pages = []

    def visited(address: str, part: str = "", *, size: str = "desktop", **settings: object) -> Page:
        def note_request(request: Request) -> None:
            if not request.url.startswith((address, "data:")):
                seen.append(f"request: {request.url}")

        page = browser.new_page(viewport=SIZES[size], **settings)
        pages.append(page)
        page.set_default_timeout(20_000)
        page.on("console", lambda message: seen.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("request", note_request)
        page.goto(f"{address}#{part}")
        return page

    yield visited
    for page in pages:
        page.close()
    assert seen == []


def shown(page: Page, column: int) -> list[str]:
    """What stands in a column of the first board on the page, in the rows that are shown."""
    found: list[str] = page.evaluate(
        """column => [...document.querySelector(".task.shown .board").querySelectorAll("tbody tr")]
        .filter(row => row.offsetParent !== null).map(row => row.cells[column].innerText.trim())""",
        column,
    )
    return found


def labels(elements: Locator) -> list[str]:
    """What assistive technology calls them."""
    found: list[str] = elements.evaluate_all("all => all.map(e => e.getAttribute('aria-label'))")
    return found


def head(page: Page, key: str) -> Locator:
    """The head of a column of the first board on the page."""
    return page.locator(".task.shown .board").first.locator(f'th[data-key="{key}"]')


def unfold(page: Page) -> None:
    """Show all rows of the first board on the page."""
    board = page.locator(".task.shown .board").first
    for kind in ("published", "compressors"):
        if board.get_by_label(kind).count():
            board.get_by_label(kind).check()


LINES = """() => [...document.querySelectorAll(".task.shown .board tbody tr")]
  .filter((row) => row.offsetParent !== null).map((row) => {
    const middles = [], texts = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const parent = texts.currentNode.parentElement;
      if (parent.closest(".hidden") || !parent.checkVisibility()) continue; // for screen readers
      const range = document.createRange();
      range.selectNodeContents(texts.currentNode);
      for (const {top, bottom, width} of range.getClientRects()) {
        if (width > 0) middles.push((top + bottom) / 2);
      }
    }
    middles.sort((a, b) => a - b);
    const cells = [...row.cells].map((cell) => cell.getBoundingClientRect());
    return {
      lines: middles.filter((middle, i) => !i || middle - middles[i - 1] > 6).length,
      cut: [...row.cells].some(
        (cell) => cell.tagName === "TD" && cell.scrollWidth > cell.clientWidth + 1),
      bits: row.querySelector(".score").offsetParent !== null,
      nats: row.querySelector(".nats")?.offsetParent !== null,
    };
  })"""


CHARTS = "document.querySelectorAll('.task.shown .canvas svg')"
NAMES_OVER_LINES = (
    f"() => [...{CHARTS}]"
    + """.flatMap((svg) => {
  const lines = [...svg.querySelectorAll(".front, .whisker, .gridline, .curve")];
  return [...svg.querySelectorAll(".name")].filter((name) => lines.some((line) => {
    const box = name.getBBox(), length = line.getTotalLength();
    for (let at = 0; at <= length; at += 0.5) {
      const {x, y} = line.getPointAtLength(at);
      const [right, low] = [x - box.x, y - box.y];
      if (right > 0 && right < box.width && low > 3 && low < box.height - 3) return true;
    }
    return false;
  })).map((name) => name.textContent);
})"""
)
