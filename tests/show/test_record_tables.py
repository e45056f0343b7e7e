"""One drawing of a record: the same numbers for every reader, and no markup of a stranger's."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from arbench.files.plain_text import is_control
from arbench.files.strict_json import read_json
from arbench.runs.record.record import Record
from arbench.runs.record.versions import upgraded
from arbench.runs.zoo import zoo_folder
from arbench.show.record_tables import (
    likelihood_table,
    made_with,
    measured_tables,
    measurement_table,
    record_tables,
    speed_table,
)
from arbench.show.tables import Table, as_html, as_markdown, as_rich, as_text

HOSTILE = "<script>a</script> [red]b[/red] c|d **e** [f](javascript:g) `h` \x1b[31m\u202e"
SHOWN = "<script>a</script> [red]b[/red] c|d **e** [f](javascript:g) `h` \ufffd[31m\ufffd"
SPEED = {
    "method": "step",
    "batch_size": 64,
    "device": "cpu",
    "precision": "float32",
    "compiled": False,
    "repeats": 5,
    "median_s": 0.0123,
    "iqr_s": 0.0004,
    "events_per_s": 5203.25,
    "extrapolated": False,
}
RECORD: dict[str, Any] = {
    "task": {
        "name": "digits",
        "version": "2",
        "data_sha256": "ab" * 32,
        "num_dims": 784,
        "unit": "pixel",
        "groups": "event",
        "source": "a drawer",
    },
    "model": {
        "name": "probe",
        "plugin": "dist",
        "plugin_version": "1.0",
        "hyperparameters": {"hidden": 5},
        "head": "bernoulli",
        "layout": "raster by dim",
        "num_copies": 2,
        "num_members": 1,
        "num_parameters": 12345,
    },
    "training": {
        "recipe": "probe/tiny",
        "seed": 3,
        "steps": 1000,
        "epochs": 2.5,
        "seconds": 45.17,
        "limit": None,
        "best_step": 900,
        "device": "cpu",
        "precision": "float32",
        "status": "finished",
    },
    "foreign": None,
    "measurements": {
        "likelihood": {
            "windows": None,
            "validation": None,
            "test": {
                "total_nats": 78400.0,
                "num_events": 1000,
                "num_dims": 784000,
                "nats_per_event": 78.4,
                "bits_per_dim": 0.14427,
                "standard_error_nats": 0.784,
                "standard_error_bits_per_dim": 0.00144,
                "kind": "exact",
                "num_groups": 1000,
                "block": None,
            },
        },
        "truth": {
            "true_nats_per_event": 78.0,
            "gap_nats_per_event": 0.4,
            "standard_error_nats": 0.05,
        },
        "speed": {"rows": [SPEED]},
    },
    "checks": {
        "causality": {"value": 0.0, "threshold": 0.0, "about": "16 of 784 sites"},
        "step_equals_forward": None,
        "samples_follow": {"value": 9.5, "threshold": 4.0, "about": ""},
    },
    "environment": {
        "arbench": "0.2",
        "torch": "2",
        "platform": "Linux",
        "cpu": "a processor",
        "threads": 2,
        "gpu": None,
    },
}
SECTION: dict[str, Any] = {
    "version": "1",
    "rows": [
        {"case": "letters", "value": 0.98765, "unit": "AUROC", "better": "higher", "error": 0.0123},
        {"case": "noise", "value": 1234.5, "unit": "AUROC", "better": "higher", "error": None},
    ],
    "baselines": [
        {"case": "pixels", "value": 0.5, "unit": "AUROC", "better": "higher", "error": 0.0}
    ],
    "num_values": 1000,
    "num_groups": 20,
}


def rich_text(table: Table) -> str:
    """What a console prints."""
    out = io.StringIO()
    Console(file=out, width=400).print(as_rich(table))
    return " ".join(out.getvalue().split())  # notes are as wide as their table


class Reader(HTMLParser):
    """The text of a page, and what stands in each cell of its tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags[-1] in ("td", "th"):
            self.cells[-1] += data


def markdown_text(table: Table) -> str:
    """What a page of Markdown shows."""
    return Reader(MarkdownIt("commonmark").enable("table").render(as_markdown(table))).text


def html_text(table: Table) -> str:
    """What a page of HTML shows."""
    return Reader(as_html(table)).text


READERS = [as_text, rich_text, markdown_text, html_text]


def changed(part: str, values: Any) -> dict[str, Any]:
    record = copy.deepcopy(RECORD)
    record[part] = values
    return record


@pytest.mark.parametrize("read", READERS, ids=lambda read: str(read.__name__))
def test_every_reader_sees_every_cell_and_note(read: Callable[[Table], str]) -> None:
    tables = [*record_tables(RECORD), measurement_table("detection?against=all", SECTION)]
    assert [table.title for table in tables] == [
        "likelihood",
        "checks of the model at its own size",
        "sampling speed",
        "made with",
        "detection?against=all",
    ]
    for table in tables:
        text = read(table).lower()
        cells = [cell for row in table.rows for cell in row]
        for part in (table.title, *table.headers, *cells, *table.notes):
            assert part.lower() in text, part


def test_the_tables_say_what_the_record_says() -> None:
    likelihood, checks, speed, made = record_tables(RECORD)
    assert likelihood.headers == ("split", "nats/event", "bits/pixel", "events", "kind")
    assert likelihood.rows == [("test", "78.400 ± 0.784", "0.1443 ± 0.0014", "1,000", "exact")]
    assert likelihood.notes == [
        "The true density has 78.0000 nats/event on test; the paired gap to it is 0.4000 ± 0.0500."
    ]
    assert checks.rows == [
        ("a site sees earlier ones only", "0", "0", "16 of 784 sites"),
        ("samples follow log_prob FAILED", "9.5", "4", "-"),
    ]
    assert speed.headers == ("sampler", "device", "batch", "events/s", "median time", "IQR")
    assert speed.rows == [("step", "cpu", "64", "5,203.2", "12.3 ms", "400 µs")]
    assert dict(made.rows) == {
        "model": "probe: 12,345 parameters, head bernoulli, raster by dim, 2 copies, from dist 1.0",
        "settings": "hidden=5",
        "data": f"digits (version 2): 784 dims per event, sha256 {'ab' * 32}",
        "source of the data": "a drawer",
        "training": "finished; recipe probe/tiny, seed 3",
        "length": "2.5 epochs, 1,000 steps (best on validation at 900), 45.2 s on cpu in float32",
        "machine": "a processor, 2 CPU thread(s), Linux, torch 2, arbench 0.2",
    }


def test_nats_of_a_text_are_per_symbol() -> None:
    (row,) = likelihood_table(changed("task", {**RECORD["task"], "unit": "char"})).rows
    assert row[1] == "0.1000 ± 0.0010"


def test_a_part_of_the_data_is_not_comparable() -> None:
    record = changed("training", {**RECORD["training"], "limit": 1000})
    assert "Only the first 1,000 events of each split: not comparable." in (
        likelihood_table(record).notes
    )
    assert ("limit", "only the first 1,000 events of each split") in made_with(record).rows


def test_where_nothing_was_measured_there_is_no_table() -> None:
    record = {**RECORD, "measurements": {}, "checks": None}
    record["training"] = {**RECORD["training"], "limit": 10, "status": "interrupted"}
    assert measured_tables(record) == []
    assert [table.title for table in record_tables(record)] == ["made with"]


@pytest.mark.parametrize("read", READERS, ids=lambda read: str(read.__name__))
def test_what_is_no_likelihood_has_a_reason_and_no_number(read: Callable[[Table], str]) -> None:
    record = changed("model", {**RECORD["model"], "layout": "permuted (seed 0) by dim"})
    record["measurements"]["likelihood"]["test"]["num_dims"] = 700_000
    text = read(likelihood_table(record))
    assert "No likelihood: events of digits differ in length" in text
    assert "78.4" not in text


def test_a_foreign_density_says_how_it_was_evaluated() -> None:
    foreign = {"object": "flow.Flow", "log_det_nats": -2.5, "dequantisation": "uniform", "seed": 4}
    foreign |= {"limit": None, "device": "cpu", "repeat_nats": 1e-6}
    made = dict(made_with({**RECORD, "training": None, "foreign": foreign}).rows)
    assert made["model"] == (
        "probe: 12,345 parameters, flow.Flow, from dist 1.0, trained elsewhere"
    )
    assert made["numbers"].startswith("self-reported")
    assert made["evaluation"] == (
        "on cpu, seed 4, uniform dequantisation, -2.5 nats per event for the scale of its input; "
        "in batches of another size a log-probability moved by 1e-06 nats at most"
    )


def test_speeds_name_what_is_extrapolated_and_what_has_no_spread() -> None:
    slow = {**SPEED, "method": "whole", "extrapolated": True, "repeats": 1, "median_s": 90.0}
    slow |= {"events_per_s": 0.71}
    table = speed_table([SPEED, slow])
    assert table.rows[1] == ("whole (extrapolated)", "cpu", "64", "0.7", "90.0 s", "-")


def test_any_other_measurement_is_a_table_of_its_rows() -> None:
    record = changed("measurements", {**RECORD["measurements"], "detection": SECTION})
    table = record_tables(record)[3]
    assert table.title == "detection"
    assert table.headers == ("case", "value", "unit", "better")
    assert table.rows == [
        ("letters", "0.988 ± 0.012", "AUROC", "higher"),
        ("noise", "1,234.5", "AUROC", "higher"),
        ("pixels (baseline)", "0.5 ± 0", "AUROC", "higher"),
    ]
    assert table.notes == ["The standard errors are over 20 independent groups."]


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (1234567.0, 12000.0, "1234567 ± 12000"),
        (0.00123456, 0.000045, "0.001235 ± 0.000045"),
        (-3.0, 1.0, "-3.0 ± 1.0"),
        (None, None, "-"),
    ],
)
def test_a_number_has_the_digits_that_its_error_allows(
    value: float | None, error: float | None, shown: str
) -> None:
    row = {"case": "a", "value": value, "unit": "b", "better": "lower", "error": error}
    assert measurement_table("x", {"rows": [row]}).rows[0][1] == shown


def hostile_tables() -> list[Table]:
    """Tables with a stranger's text in every field that is one."""
    record = copy.deepcopy(RECORD)
    for part, name in (
        ("task", "unit"),
        ("task", "groups"),
        ("task", "source"),
        ("model", "layout"),
        ("model", "plugin"),
        ("training", "recipe"),
        ("environment", "cpu"),
    ):
        record[part][name] = HOSTILE
    record["model"]["layout"] = f"raster {HOSTILE}"
    record["model"]["hyperparameters"] = {HOSTILE: HOSTILE}
    record["measurements"]["likelihood"]["test"]["num_groups"] = 20
    record["measurements"]["speed"]["rows"][0] = {**SPEED, "method": HOSTILE, "device": HOSTILE}
    record["checks"]["causality"]["about"] = HOSTILE
    rows = [{"case": HOSTILE, "value": 1.0, "unit": HOSTILE, "better": "lower", "error": None}]
    return [*record_tables(record), measurement_table(HOSTILE, {"rows": rows})]


@pytest.mark.parametrize("read", READERS, ids=lambda read: str(read.__name__))
def test_a_stranger_s_text_is_shown_as_it_is(read: Callable[[Table], str]) -> None:
    for table in hostile_tables():
        text = read(table)
        assert SHOWN.lower() in text.lower()
        assert not any(is_control(c) and c != "\n" for c in text)


def test_a_stranger_s_text_is_no_part_of_a_page() -> None:
    for table, harmless in zip(
        hostile_tables(),
        [*record_tables(RECORD), measurement_table("x", {"rows": SECTION["rows"][1:]})],
        strict=True,
    ):
        found = Reader(as_html(table))
        assert {*found.tags} <= {"h5", "table", "thead", "tbody", "tr", "th", "td", "p"}
        assert len(found.cells) == len(Reader(as_html(harmless)).cells)
        page = MarkdownIt("commonmark", {"html": True}).enable("table").render(as_markdown(table))
        tags = {*Reader(page).tags}
        assert tags <= {"h2", "table", "thead", "tbody", "tr", "th", "td", "p", "ul", "li"}
        lines = [line for line in as_markdown(table).splitlines() if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in lines}) <= 1


def test_the_raw_json_and_the_read_record_are_drawn_alike() -> None:
    path = zoo_folder() / "mnist-mini" / "nade" / "record.json"
    raw = read_json(path, ValueError, "missing")
    assert isinstance(raw, dict)
    assert record_tables(upgraded(raw)) == record_tables(Record.read(path).model_dump(mode="json"))


def test_numbers_stand_right_and_words_left() -> None:
    rows = [("a", "1.5"), ("16 of 784 sites", "-"), ("3d", "85.47 ± 0.22 (still growing)")]
    table = Table("", ("name", "number"), [*rows, ("b", "-3.1e-05"), ("c", "1,234"), ("d", "2 µs")])
    assert [table.holds_numbers(i) for i in (0, 1)] == [False, True]
    assert as_html(table).count("class=number") == 6


def test_names_and_values_are_a_list() -> None:
    table = Table("about", rows=[("name", "a value"), ("longer", "another")])
    assert as_text(table) == "about\n  name    a value\n  longer  another"
    assert as_markdown(table) == "## About\n\n* name: a value\n* longer: another"
    assert "name" in rich_text(table)
