"""A table fits its terminal: words are wrapped, whole columns go with a word, nothing is cut."""

from __future__ import annotations

import io
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from arbench.show import tables
from arbench.show.tables import Table, as_rich, as_text, columns, fit

HEADER = ("task", "nats", "summary", "where")
ROWS = [
    ("mnist", "85.47 ± 0.22", "digits of 28 times 28 pixels, each of them black or white", "/a/b"),
    ("names", "2.03 ± 0.01", "given names, a letter after the other", "/data/own/files/names/yob"),
]
CELL = st.lists(st.text("abcdefg", min_size=1, max_size=30), min_size=1, max_size=8).map(" ".join)
LINES = st.integers(1, 6).flatmap(
    lambda count: st.lists(st.lists(CELL, min_size=count, max_size=count), min_size=2, max_size=4)
)


@settings(max_examples=40, deadline=None)
@given(LINES, st.integers(12, 90))
def test_what_fits_is_whole_and_what_does_not_is_named(lines: list[list[str]], width: int) -> None:
    fitted, kept, widths, note = fit(lines, width)
    for line, drawn in zip(lines, fitted, strict=True):
        for column, cell in zip(kept, drawn, strict=True):
            assert cell.split() == line[column].split()  # every word is there, none was cut
    gone = [lines[0][column] for column in range(len(lines[0])) if column not in kept]
    said = f"left out, too wide for this terminal: {', '.join(gone)}; `| less -S` shows all"
    assert note == said * bool(gone)
    assert kept[0] == 0
    if len(kept) > 1:
        assert sum(widths) + 2 * (len(kept) - 1) <= width
        for drawn in fitted:
            for cell, own in zip(drawn, widths, strict=True):
                assert max(map(len, cell.split("\n"))) <= own


def test_a_wide_terminal_changes_nothing() -> None:
    lines = [[*HEADER], *map(list, ROWS)]
    same, kept, _, note = fit(lines, 200)
    assert (same, kept, note) == (lines, [0, 1, 2, 3], "")


def test_words_are_wrapped_before_columns_go_and_numbers_never() -> None:
    lines = [[*HEADER], *map(list, ROWS)]
    fitted, kept, _, _ = fit(lines, 80)
    assert kept == [0, 1, 2, 3]
    assert "\n" in fitted[1][2]
    narrow, kept, _, _ = fit(lines, 50)
    assert kept == [0, 1, 2]
    assert narrow[1][1] == "85.47 ± 0.22"
    assert fit(lines, 50, least=[2, 1])[1] == [0, 1, 3]


def test_what_stands_in_brackets_behind_a_number_may_go_below_it() -> None:
    lines = [["task", "nats", "where"], ["mnist", "1.45 ± 0.03 (still growing)", "in the package"]]
    fitted, kept, _, _ = fit(lines, 40)
    assert kept == [0, 1, 2]
    assert fitted[1][1] == "1.45 ± 0.03\n(still growing)"


@pytest.mark.parametrize("width", [40, 60])
def test_names_and_values_and_sentences_fit_too(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    rows = [("runs/mnist-mini-nade/with/a/long/path/model.safetensors", "weights of the model")]
    rows += [("sha256", "da301f952c8fbbe9981275052b94abc8c106e20600fbaf0aa15608c792d3717f")]
    sentence = "A rank is 1 plus the number of results that are significantly better than this one."
    whole = tables.pairs(rows), tables.filled(sentence)
    assert whole[1] == sentence
    monkeypatch.setattr(tables, "terminal_width", lambda: width)
    narrow = tables.pairs(rows, room=2), tables.filled(sentence, room=2)
    for before, after in zip(whole, narrow, strict=True):
        assert max(map(len, after.splitlines())) <= width - 2 < max(map(len, before.splitlines()))
        assert sorted("".join(after.split())) == sorted("".join(before.split()))
    assert narrow[1].split() == sentence.split()


def drawn(monkeypatch: pytest.MonkeyPatch, width: int | None) -> str:
    """The table for a terminal, or for a pipe."""
    monkeypatch.setattr(tables, "terminal_width", lambda: width)
    return columns(ROWS, HEADER)


def test_columns_fit_the_terminal_and_a_pipe_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (40, 60, 80, 100):
        lines = drawn(monkeypatch, width).splitlines()
        assert max(map(len, lines)) <= width
        assert "..." not in "".join(lines)
        assert "…" not in "".join(lines)
    said = "(left out, too wide for this terminal: SUMMARY, WHERE; `| less -S` shows all)"
    assert drawn(monkeypatch, 40).replace("\n", " ").endswith(said)
    whole = drawn(monkeypatch, None).splitlines()
    assert len(whole) == 3
    assert ROWS[1][3] in whole[2]
    indented = as_text(Table("about", HEADER, ROWS)).splitlines()
    assert indented[1:] == [f"  {line}" for line in whole]


@pytest.mark.parametrize("width", [60, 80, None])
def test_a_table_with_lines_does_so_too(width: int | None) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width or 80, force_terminal=bool(width), color_system=None)
    console.print(as_rich(Table("about", HEADER, ROWS, ["A note."]), console), crop=False)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()
    assert "…" not in out.getvalue()
    assert "85.47 ± 0.22" in out.getvalue()
    if width is None:
        assert ROWS[0][2] in out.getvalue()
    else:
        assert max(map(len, lines)) <= width
    said = " ".join(" ".join(lines).split())
    assert ("left out, too wide for this terminal: where" in said) == (width == 60)


def test_the_width_is_that_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "57")
    monkeypatch.setattr(tables.sys, "stdout", open(os.devnull, "w"))  # noqa: SIM115
    assert tables.terminal_width() is None
    monkeypatch.setattr(tables.sys.stdout, "isatty", lambda: True)
    assert tables.terminal_width() == 57


def test_a_long_name_goes_on_in_the_next_line_and_nothing_else_has_to_go() -> None:
    name = "mnist-mini-nade.hidden-100.learning_rate-0.001"
    lines = [["RUN", "SETTINGS", "NATS"], [name, "hidden=100 learning_rate=0.001", "179.626"]]
    fitted, kept, widths, note = fit(lines, 56)
    assert (kept, note) == ([0, 1, 2], "")
    assert fitted[1][0].replace("\n", "") == name
    assert all(
        len(part) <= width
        for cell, width in zip(fitted[1], widths, strict=True)
        for part in cell.split("\n")
    )
    assert fit([["RUN"], ["a-name-of-24-characters-"]], 10)[0][1] == ["a-name-of-24-characters-"]


def test_of_a_sweep_what_is_the_same_everywhere_goes_first() -> None:
    from arbench.cli.run_list import _least_first

    header = ["run", "task", "model", "settings", "split", "nats", "state"]
    rows = [["a", "t", "m", "h=1", "test", "1", "finished"], ["b", "t", "n", "", "test", "2", "-"]]
    assert [header[i] for i in _least_first(rows, header)] == [
        *("split", "task"),
        *("state", "model", "settings", "nats"),
    ]
