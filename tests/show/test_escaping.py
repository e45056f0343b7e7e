"""Text of strangers in cards and pages, in every field: shown as it is, and never a part of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from making import with_likelihood
from markdown_it import MarkdownIt
from pydantic import BaseModel

from arbench.boards.board_text import board_pages, boards_text
from arbench.boards.boards import make_boards
from arbench.boards.page import render_page
from arbench.boards.published import PublishedResult
from arbench.boards.results import kept_records, read_results
from arbench.boards.speeds import SpeedReport
from arbench.files.plain_text import is_control
from arbench.hub.card import card_of
from arbench.runs.record.record import ForeignRecord
from arbench.runs.zoo import zoo_folder
from arbench.show.escaping import html, markdown, one_line, preformatted

# HTML, a link, a table's edge, code, stress, an entity; what turns a terminal red, turns the
# direction of a text, or ends a line for some readers and not for others.
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=y> [press](javascript:steal) ![p](http://p.q/r) "
    "a|b `c` **d** __e__ &lt;f&gt; </pre> \\ # g \x1b[31m \u202eh \u2066i \u2028j \x00 \r\n- k"
)
RENDERED = MarkdownIt("commonmark", {"html": True}).enable("table")
KEPT = next(
    r
    for r in read_results(kept_records())
    if (r.record.task.name, r.record.model.name) == ("mnist", "nade")
)


class Reader(HTMLParser):
    """What a browser makes of HTML: its text, and the elements that could do something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.active: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag in ("script", "img", "a") or any(name.startswith("on") for name in values):
            self.active.append(f"{tag} {values}")

    def handle_data(self, data: str) -> None:
        self.text += data


def read_markdown(page: str) -> Reader:
    """What the Hub shows of a page."""
    return Reader(RENDERED.render(page))


def body_of(card: str) -> str:
    return card.partition("\n---\n")[2]


def texts(part: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where in a document free text may stand."""
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            yield from texts(value, (*path, name))
        elif isinstance(value, dict) and any(isinstance(v, BaseModel) for v in value.values()):
            for key, inner in value.items():
                yield from texts(inner, (*path, name, key))
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            yield from texts(value[0], (*path, name))
        elif _is_free(field.annotation, str(field.metadata)):
            yield (*path, name)


def _is_free(kind: Any, limits: str) -> bool:
    if get_origin(kind) in (Literal, dict, list):
        return False
    if isinstance(kind, UnionType) or get_args(kind):
        return any(_is_free(k, limits + str(get_args(k))) for k in get_args(kind))
    return kind is str and "0-9a-f" not in limits and "a-z0-9" not in limits


def with_text(part: Any, path: tuple[str, ...], text: str) -> Any:
    """The document with a text in one place, which its schema would refuse in part."""
    name, *rest = path
    if isinstance(part, dict):
        return part | {name: with_text(part[name], tuple(rest), text)}
    value = getattr(part, name)
    if not rest:
        return part.model_copy(update={name: text})
    if isinstance(value, list):
        return part.model_copy(update={name: [with_text(v, tuple(rest), text) for v in value]})
    return part.model_copy(update={name: with_text(value, tuple(rest), text)})


FOREIGN = KEPT.record.model_copy(
    update={
        "training": None,
        "foreign": ForeignRecord(
            object="a.B",
            log_det_nats=1.0,
            dequantisation="uniform",
            seed=0,
            device="cpu",
            repeat_nats=0.0,
            limit=None,
        ),
    }
)
FIELDS = sorted({*texts(KEPT.record), *texts(FOREIGN)})


# The fields that cards show to people, and therefore as they are.
SHOWN = {
    ("checks", "causality", "about"),
    ("environment", "cpu"),
    ("foreign", "device"),
    ("foreign", "object"),
    ("model", "head"),
    ("model", "layout"),
    ("model", "plugin"),
    ("model", "plugin_version"),
    ("measurements", "speed", "rows", "device"),
    ("measurements", "speed", "rows", "method"),
    ("task", "source"),
    ("task", "unit"),
    ("task", "version"),
    ("training", "device"),
    ("training", "precision"),
    ("training", "recipe"),
}


def test_the_fields_are_found() -> None:
    assert {*FIELDS} >= SHOWN
    assert len(FIELDS) >= 20


def test_the_word_for_a_group_does_not_get_into_a_card(tmp_path: Path) -> None:
    test = KEPT.record.splits["test"].model_copy(update={"num_groups": 20})
    grouped = with_likelihood(KEPT.record, test=test)
    harmless = read_markdown(body_of(card_of(tmp_path, grouped))).active
    page = body_of(card_of(tmp_path, with_text(grouped, ("task", "groups"), HOSTILE)))
    assert not any(is_control(c) and c != "\n" for c in page)
    read = read_markdown(page)
    assert read.active == harmless
    assert one_line(HOSTILE) in read.text


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_no_field_of_a_record_gets_into_a_card(path: tuple[str, ...], tmp_path: Path) -> None:
    base = FOREIGN if path[0] == "foreign" else KEPT.record
    harmless = read_markdown(body_of(card_of(tmp_path, base))).active
    card = card_of(tmp_path, with_text(base, path, HOSTILE))
    assert not any(is_control(c) and c != "\n" for c in card)
    read = read_markdown(body_of(card))
    assert read.active == harmless
    if path in SHOWN:
        assert one_line(HOSTILE) in read.text
    metadata = card.removeprefix("---\n").removesuffix(f"---\n{body_of(card)}")
    loaded = yaml.safe_load(metadata)
    assert set(loaded) <= {"library_name", "tags", "model-index", "pipeline_tag", "datasets"}


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_no_field_of_a_record_gets_into_a_board(path: tuple[str, ...]) -> None:
    base = FOREIGN if path[0] == "foreign" else KEPT.record
    record = with_text(base, path, HOSTILE)
    result = replace(KEPT, record=record, speeds=SpeedReport.of_record(record))
    honest = make_boards([KEPT])
    boards = make_boards([result])
    for page in (*board_pages([result]).values(), boards_text(boards, "md")):
        assert not any(is_control(c) and c != "\n" for c in page)
        assert not any("script" in a or "onerror" in a for a in read_markdown(page).active)
        assert not any("javascript" in a for a in read_markdown(page).active)
    assert not any(is_control(c) and c != "\n" for c in boards_text(boards, "table"))
    page = render_page(boards)
    assert len(Reader(page).active) == len(Reader(render_page(honest)).active)
    assert not any(is_control(c) and c != "\n" for c in page)


def test_no_field_of_a_published_row_gets_into_a_board(monkeypatch: pytest.MonkeyPatch) -> None:
    row = PublishedResult(
        task="mnist",
        model=HOSTILE,
        our_model="",
        value=90.0,
        unit="nats",
        kind="exact",
        source=f"{HOSTILE} (2000)",
        checked=True,
        where=HOSTILE,
        note=HOSTILE,
    )
    monkeypatch.setattr("arbench.boards.boards.published_results", lambda task: (row,))
    page = board_pages([KEPT])["mnist.md"]
    read = read_markdown(page)
    assert read.active == []
    assert read.text.count(one_line(HOSTILE)) >= 3  # the model twice, its paper, its note
    tables = [part for part in page.split("\n\n") if part.startswith("|")]
    assert tables
    for table in tables:
        lines = table.replace("\\|", "").strip().splitlines()
        assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize("name", ["samples.txt", "samples.[a](javascript:b)"])
def test_samples_get_into_no_card(tmp_path: Path, name: str) -> None:
    run = Path(shutil.copytree(zoo_folder() / "mnist-mini" / "nade", tmp_path / "run"))
    (run / "samples.png").unlink(missing_ok=True)
    text = f"{HOSTILE}\n\n</pre>\n<b>\n    indented"
    (run / name).write_text(text)
    card = body_of(card_of(run))
    assert not any(is_control(c) and c != "\n" for c in card)
    read = read_markdown(card)
    assert read.active == []
    if name == "samples.txt":
        for line in ("<script>alert(1)</script>", "\\ # g", "</pre>\n<b>\n    indented"):
            assert line in read.text


def test_samples_get_into_no_page(tmp_path: Path) -> None:
    (tmp_path / "samples.txt").write_text(HOSTILE)
    page = render_page(make_boards([replace(KEPT, folder=tmp_path)]))
    assert "onerror=y" not in "".join(Reader(page).active)
    assert not any(is_control(c) and c != "\n" for c in page)


@pytest.mark.parametrize(
    "text",
    ["# a", "- a", "+ a", "1. a", "12) a", "=== a", "a_b_c", "*a*", "<a@b.c>", "&amp;", "a & b"],
)
def test_a_text_is_shown_as_it_is(text: str) -> None:
    assert read_markdown(f"- {markdown(text, begins=True)}").text.strip() == text
    assert RENDERED.render(markdown(text, begins=True)).startswith("<p>")
    assert read_markdown(f"x {markdown(text)}").text.strip() == f"x {text}"
    assert Reader(html(text)).text == text
    assert Reader(preformatted(text)).text == text


def test_an_address_stays_what_it_is() -> None:
    address = "https://example.org/a_b/~c?d=e#f"
    assert markdown(f"from {address}, *") == f"from {address}, \\*"
