"""Numbers in words."""

from __future__ import annotations

import pytest

from arbench.files.plain_text import one_line, printable
from arbench.show.record_notes import few_events_note, groups_note, no_error_note
from arbench.show.wording import duration_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (3.5e-8, "35 ns"),
        (4.567e-4, "457 µs"),
        (0.0123, "12.3 ms"),
        (0.1, "100 ms"),
        (0.99949, "999 ms"),
        (0.9996, "1.00 s"),
        (45.17, "45.2 s"),
        (100, "100 s"),
        (1681.2, "1,681 s"),
        (1e6, "1,000,000 s"),
    ],
)
def test_a_duration_has_three_digits_in_a_unit_that_suits_it(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_few_events_are_named_and_many_are_not() -> None:
    assert "199 events only" in few_events_note(199)
    assert few_events_note(1).endswith("1 event only, which has no standard error.")
    assert few_events_note(200) == ""


def test_one_group_has_no_error_to_explain() -> None:
    block = {"rule": "any", "length": 70, "num_blocks": 1, "still_growing": True}
    window = {"num_groups": 1, "num_events": 1, "block": block}
    assert groups_note("block", window) == ""
    said = groups_note("recording", {"num_groups": 1, "num_events": 9})
    assert said == "All test events are of one recording, which has no standard error."


def test_an_error_of_zero_is_said_and_others_are_not() -> None:
    note = no_error_note({"validation": (2.85, 0.0), "test": (5.2, 1e-7)})
    assert note.startswith("The standard error of validation and test is zero: all those events")
    assert "of test is" in no_error_note({"validation": (2.85, 0.024), "test": (-5.2, 0.0)})
    assert no_error_note({"validation": (2.85, 0.024), "test": (5.2, None)}) == ""
    assert no_error_note({}) == ""


def test_a_name_that_is_no_utf8_can_be_written() -> None:
    name = b"\xff rows.csv".decode(errors="surrogateescape")
    assert printable(name) == one_line(name) == "\ufffd rows.csv"
