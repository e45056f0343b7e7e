"""The page in a real browser: it sorts, filters, draws, heeds the keyboard, asks for nothing."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from functools import partial
from urllib.parse import unquote

import pytest
from browsing import LINES, NAMES_OVER_LINES, SIZES, Visit, head, labels, shown, unfold

from arbench.boards.boards import make_boards
from arbench.boards.page import render_page, write_page
from arbench.boards.results import Result, kept_records, read_results
from arbench.boards.rows import Board, Row
from arbench.show.record_tables import record_tables

TASKS = ("mnist", "mnist-static", "toy-ar1", "uci-dna")
NASTY = "\"><img src=x onerror=alert(1)>'</script><b>&amp;"
Open = Visit


@pytest.fixture(scope="module")
def boards() -> list[Board]:
    """Those of some kept results, one of which has got a hostile name and a second device."""
    results = [r for r in read_results(kept_records()) if r.record.task.name in TASKS]
    return make_boards([_renamed(r) if _is_cpt(r) else r for r in results])


def _is_cpt(result: Result) -> bool:
    return (result.record.task.name, result.record.model.name) == ("mnist", "cpt")


def _renamed(result: Result) -> Result:
    model = result.record.model.model_copy(update={"name": NASTY})
    (own,) = result.speeds
    fast = own.sampling[0].model_copy(update={"device": "Fast Card", "events_per_s": 1e6})
    report = own.model_copy(update={"sampling": [fast]})
    record = result.record.model_copy(update={"model": model})
    return Result(record, result.log_probs, (report, own))


@pytest.fixture(scope="module")
def address(boards: list[Board], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the page is."""
    out = tmp_path_factory.mktemp("page") / "new" / "folder"
    write_page(out, boards)
    return (out / "index.html").as_uri()


@pytest.fixture
def open_page(visit: Open, address: str) -> Open:
    """A function that opens the page; see `visit`."""
    return partial(visit, address)


def _devices(row: Row) -> set[str]:
    return {speed.device for speed in row.speeds}


def _first_device(board: Board) -> str:
    """The device that the plot of speeds begins with: that of the most rows."""
    many = Counter(device for row in board.rows for device in _devices(row))
    return max(many, key=lambda device: many[device])


def test_a_row_has_at_most_four_lines_on_a_phone(open_page: Open, boards: list[Board]) -> None:
    page = open_page(size="phone")
    for task in dict.fromkeys(board.task for board in boards):
        page.evaluate("task => { location.hash = task; }", task)
        page.wait_for_selector(f"#{task}.shown")
        unfold(page)
        rows = page.evaluate(LINES)
        assert rows
        for row in rows:
            assert row == {"lines": row["lines"], "cut": False, "bits": True, "nats": True}
            assert 2 <= row["lines"] <= 4, task


def test_a_row_leads_to_its_record_command_and_numbers(
    open_page: Open, boards: list[Board]
) -> None:
    page = open_page("mnist")
    (board,) = (b for b in boards if (b.task, b.kind) == ("mnist", "exact"))
    place = next(i for i, row in enumerate(board.rows) if row.model == "nade")
    row = page.locator(".task.shown .board").first.locator("tbody tr").nth(place)
    row.locator("summary").first.click()
    assert row.locator(".command").inner_text() == "arbench run --task mnist --model nade"
    saved = row.get_by_role("link", name="CSV").get_attribute("href")
    assert saved is not None
    kind, _, text = saved.partition(",")
    assert kind == "data:text/csv;charset=utf-8"
    (numbers,) = csv.DictReader(unquote(text).splitlines())
    assert (numbers["model"], float(numbers["nats"])) == ("nade", board.rows[place].nats)
    row.get_by_role("link", name="record").click()
    page.wait_for_selector(f"#record-{board.key}-{place}[open]")
    assert page.locator("#mnist").is_visible()
    opened = page.locator(f"#record-{board.key}-{place}")
    assert opened.locator("summary").inner_text() == "nade"
    assert opened.is_visible()
    whole = page.locator(".filters .shown a").first.get_attribute("href")
    assert whole is not None
    every = [*csv.DictReader(unquote(whole.partition(",")[2]).splitlines())]
    assert [each["model"] for each in every] == [row.model for row in board.rows]


@pytest.mark.parametrize("size", SIZES)
def test_no_name_in_a_figure_lies_over_a_line(
    open_page: Open, boards: list[Board], size: str
) -> None:
    page = open_page(size=size)
    named = 0
    for task in dict.fromkeys(board.task for board in boards):
        page.evaluate("task => { location.hash = task; }", task)
        page.wait_for_selector(f"#{task}.shown")
        assert page.evaluate(NAMES_OVER_LINES) == [], task
        named += page.locator(".task.shown .canvas .name").count()
    assert named >= 10
    curves = page.locator("#mnist .series").first.locator("li")
    assert "nade" in curves.all_inner_texts()


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_wider_than_the_screen(open_page: Open, boards: list[Board], size: str) -> None:
    page = open_page(size=size)
    for task in ["", *dict.fromkeys(board.task for board in boards)]:
        page.evaluate("task => { location.hash = task; }", task)
        page.wait_for_selector(f"#{task or 'overview'}.shown")
        widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert widths[0] <= widths[1], task
        tables = page.locator(".task.shown .scroll")
        assert tables.evaluate_all("all => all.every(e => e.scrollWidth <= e.clientWidth)"), task


@pytest.mark.parametrize("size", SIZES)
def test_columns_sort_both_ways_and_say_so(open_page: Open, size: str) -> None:
    page = open_page("mnist", size=size)
    unfold(page)
    assert head(page, "score").get_attribute("aria-sort") == "ascending"
    scores = [float(text.split()[0]) for text in shown(page, 2)]
    assert scores == sorted(scores)
    head(page, "score").get_by_role("button").click()
    assert head(page, "score").get_attribute("aria-sort") == "descending"
    assert [float(text.split()[0]) for text in shown(page, 2)] == scores[::-1]
    head(page, "rank").get_by_role("button").click()
    assert head(page, "score").get_attribute("aria-sort") is None
    ranks = shown(page, 0)
    ranked = [int(text) for text in ranks if text.isdigit()]
    assert ranked == sorted(ranked)
    assert not any(text.isdigit() for text in ranks[len(ranked) :])  # the unranked come last
    head(page, "rank").get_by_role("button").click()
    again = shown(page, 0)
    assert [int(text) for text in again[: len(ranked)]] == ranked[::-1]  # and stay there


@pytest.mark.parametrize("size", SIZES)
def test_rows_are_filtered_by_words_and_by_kind(
    open_page: Open, boards: list[Board], size: str
) -> None:
    page = open_page("mnist", size=size)
    (kept,) = (b for b in boards if (b.task, b.kind) == ("mnist", "exact"))
    drawn = [row.model for row in kept.rows if _first_device(kept) in _devices(row)]
    board = page.locator(".task.shown .board").first
    folded = [row.model for row in kept.rows if row.is_result or size == "desktop"]
    assert len(shown(page, 1)) == len(folded)
    unfold(page)
    total = len(shown(page, 1))
    assert total == len(kept.rows)
    board.get_by_label("verified only").check()
    verified = [row for row in kept.rows if row.status == "verified"]
    assert len(shown(page, 1)) == len(verified) > 0
    board.get_by_label("verified only").uncheck()
    board.get_by_label("size").select_option("1e5")
    small = [row for row in kept.rows if (row.num_parameters or 1e9) <= 1e5]
    assert len(shown(page, 1)) == len(small) > 0
    board.get_by_label("size").select_option("")
    board.get_by_label("published").uncheck()
    own = shown(page, 1)
    assert 0 < len(own) < total
    assert board.locator("output").inner_text() == f"{len(own)} of {total} rows"
    assert board.locator(".point").count() == len(drawn)
    board.get_by_label("Find").fill("nade MNIST")
    (only,) = shown(page, 1)
    assert only.startswith("nade")
    assert board.locator(".point").count() == 1
    board.get_by_label("Find").fill("no such thing")
    assert shown(page, 1) == []
    assert board.locator('[data-plot="speed"]').get_by_text("No row shown").is_visible()
    board.get_by_label("Find").fill("")
    board.get_by_label("published").check()
    assert len(shown(page, 1)) == total


@pytest.mark.parametrize("size", SIZES)
def test_the_plot_shows_the_numbers(open_page: Open, boards: list[Board], size: str) -> None:
    page = open_page("mnist", size=size)
    (board,) = (b for b in boards if (b.task, b.kind) == ("mnist", "exact"))
    most = _first_device(board)
    points = {
        row.model: (row.score, max(s.events_per_s for s in row.speeds if s.device == most))
        for row in board.rows
        if most in _devices(row)
    }
    plot = page.locator('.task.shown [data-plot="speed"]').first
    assert plot.get_by_label("Device").input_value() == most
    told = labels(plot.locator(".point"))
    assert len(told) == len(points)
    for name, (score, speed) in points.items():
        (label,) = (text for text in told if text.startswith(f"{name}, "))
        assert f"{score:.4f}" in label
        assert f"{speed:,.0f} samples/s" in label
        beaten = any(s < score and v > speed for s, v in points.values())
        assert ("nothing is better in both" in label) is not beaten
    plot.get_by_label("Device").select_option("Fast Card")
    (label,) = labels(plot.locator(".point"))
    assert label.startswith(NASTY)


def test_further_right_is_faster_and_further_down_is_better(open_page: Open) -> None:
    page = open_page("mnist-static")
    points = page.locator('.task.shown [data-plot="speed"] .point')
    corners = points.evaluate_all(
        """found => found.map(e => e.querySelector("circle.dot, path").getBoundingClientRect())
        .map(box => [box.left, box.top])"""
    )
    models = [label.partition(",")[0] for label in labels(points)]
    x, y = (dict(zip(models, values, strict=True)) for values in zip(*corners, strict=True))
    assert x["made"] < x["cpt"] < x["nade"] < x["fvsbn"] < x["bernoulli"]
    assert y["nade"] > y["made"] > y["cpt"] > y["fvsbn"] > y["bernoulli"]


def test_everything_works_by_keyboard(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    page.locator("nav a", has_text=re.compile("^mnist$")).focus()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    page.wait_for_selector("#mnist.shown")
    assert page.evaluate("document.activeElement.textContent") == "mnist"
    assert page.title().startswith("mnist")
    head(page, "speed").get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head(page, "speed").get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert head(page, "speed").get_attribute("aria-sort") == "descending"
    point = page.locator(".task.shown .point").first
    point.focus()
    tip = page.locator(".task.shown .tip").first
    assert tip.is_visible()
    assert "samples/s" in tip.inner_text()
    assert page.locator("tr.lit").count() == 1
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_a_task_has_an_address_and_going_back_works(open_page: Open) -> None:
    page = open_page("uci-dna")
    assert page.locator("#uci-dna").is_visible()
    assert not page.locator("#overview").is_visible()
    page.get_by_role("link", name="All tasks").click()
    page.wait_for_selector("#overview.shown")
    page.go_back()
    page.wait_for_selector("#uci-dna.shown")
    current = page.locator("nav [aria-current]")
    assert current.all_inner_texts() == ["uci-dna"]


def test_on_a_phone_tasks_are_chosen_from_a_list(open_page: Open) -> None:
    page = open_page(size="phone")
    page.get_by_label("Task", exact=True).select_option("mnist-static")
    page.wait_for_selector("#mnist-static.shown")


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)". Source: WCAG 2.2, relative luminance."""
    channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast_in_light_and_in_dark(open_page: Open, scheme: str) -> None:
    page = open_page("mnist", color_scheme=scheme)
    papers = {"light": 0.7, "dark": 0.05}
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(background) > papers["light"]) is (scheme == "light")
    card = page.evaluate("getComputedStyle(document.querySelector('.scroll')).backgroundColor")
    for selector in (
        "tbody .model",
        "tbody small",
        "th button",
        ".badge.verified",
        ".error",
        "th[aria-sort] button",
        ".published td.score",
    ):
        colour = page.evaluate(
            "s => getComputedStyle(document.querySelector('#mnist ' + s)).color", selector
        )
        light, dark = sorted([luminance(colour), luminance(card)], reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, selector


def test_the_theme_can_be_chosen(open_page: Open) -> None:
    page = open_page(color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    button = page.get_by_role("button", name="Theme")
    button.click()
    button.click()
    assert button.inner_text() == "Theme: dark"
    assert luminance(page.evaluate(paper)) < luminance(light)


def test_without_scripts_everything_can_be_read(open_page: Open, boards: list[Board]) -> None:
    page = open_page(java_script_enabled=False)
    assert page.locator("tbody tr:visible").count() == sum(len(board.rows) for board in boards)


@pytest.mark.parametrize("size", SIZES)
def test_the_record_of_a_result_opens_below_its_board(
    open_page: Open, boards: list[Board], size: str
) -> None:
    page = open_page("toy-ar1", size=size)
    (board,) = (board for board in boards if board.task == "toy-ar1")
    row = next(row for row in board.rows if row.result is not None)
    assert row.result is not None
    records = page.locator(".task.shown .records")
    records.get_by_text("The record of each result").click()
    records.get_by_text(row.model, exact=True).click()
    opened = records.locator("details[open]").inner_text()
    made = record_tables(row.result.record.model_dump(mode="json"))
    cells = [cell for table in made for cells in table.rows for cell in cells]
    assert len(cells) > 20
    assert [cell for cell in cells if " ".join(cell.split()) not in " ".join(opened.split())] == []
    assert [table.title.lower() for table in made if table.title not in opened.lower()] == []
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1]


def test_data_are_text_and_never_markup(boards: list[Board], open_page: Open) -> None:
    text = render_page(boards)
    assert "<img src=x" not in text
    assert text.count("<script") == 3
    page = open_page("mnist")
    assert page.locator("img[src=x]").count() == 0
    assert page.locator(".task.shown .model", has_text=NASTY).count() == 1


def test_samples_and_curves_of_the_zoo_are_shown(open_page: Open) -> None:
    page = open_page("mnist")
    pictures = page.locator(".task.shown .gallery img")
    assert pictures.count() >= 2
    assert "samples of nade on mnist" in [p.get_attribute("alt") for p in pictures.all()]
    assert all(page.evaluate("[...document.images].map(i => i.naturalWidth > 0)"))
    curves = page.locator('.task.shown [data-plot="curves"] path.curve')
    assert curves.count() >= 2


def test_numbers_in_the_page_are_those_of_the_boards(boards: list[Board]) -> None:
    found = re.search(r'id="numbers">(.*?)</script>', render_page(boards), re.DOTALL)
    assert found is not None
    numbers = json.loads(found.group(1))
    for board in boards:
        rows = numbers[f"{board.task}-{board.kind}"]["rows"]
        assert [row["score"] for row in rows] == [row.score for row in board.rows]
