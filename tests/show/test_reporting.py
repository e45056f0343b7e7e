"""Numbers in words."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from arbench.files.plain_text import is_control
from arbench.show.escaping import one_line, printable
from arbench.show.record_tables import likelihood_notes
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


def split_of(nats: float = 5.0, error: float | None = 0.1, **others: Any) -> dict[str, Any]:
    """One split's likelihood, over many events unless it says otherwise."""
    return {"num_events": 1000, "nats_per_event": nats, "standard_error_nats": error, **others}


def test_few_events_are_named_and_many_are_not() -> None:
    (note,) = likelihood_notes("event", {"test": split_of(num_events=199)})
    assert "199 events only" in note
    (note,) = likelihood_notes("event", {"test": split_of(error=None, num_events=1)})
    assert note.endswith("1 event only, which has no standard error.")
    assert likelihood_notes("event", {"test": split_of(num_events=200)}) == []


def test_a_test_split_that_was_left_out_is_named() -> None:
    (note,) = likelihood_notes("event", {"validation": split_of(num_events=5)})
    assert note.startswith("The test split was not evaluated")
    assert likelihood_notes("event", {}) == []


def test_what_an_error_is_over_is_said_where_that_is_not_single_events() -> None:
    (note,) = likelihood_notes("recording", {"test": split_of(num_groups=20)})
    assert note == "The standard error is over 20 recordings, of which the events are parts."
    block = {"rule": "any", "length": 70, "num_blocks": 1234, "still_growing": True}
    for grows in (True, False):
        test = split_of(num_groups=None, block=block | {"still_growing": grows})
        (note,) = likelihood_notes("block", {"test": test})
        assert note.startswith("The standard error is over 1,234 blocks of 70 symbols")
        assert note.endswith("so it is a lower bound (still growing)." if grows else " symbols.")
    assert likelihood_notes("event", {"test": split_of(num_groups=1000)}) == []
    assert likelihood_notes("event", {"test": split_of(num_groups=None)}) == []


def test_one_group_has_no_error_to_explain() -> None:
    block = {"rule": "any", "length": 70, "num_blocks": 1, "still_growing": True}
    window = split_of(error=None, num_groups=1, num_events=1, block=block)
    (note,) = likelihood_notes("block", {"test": window})
    assert "1 event only" in note
    said = likelihood_notes("recording", {"test": split_of(error=None, num_groups=1)})
    assert said == ["All test events are of one recording, which has no standard error."]


def test_an_error_of_zero_is_said_and_others_are_not() -> None:
    zero, small = split_of(2.85, 0.0), split_of(5.2, 1e-7)
    (note,) = likelihood_notes("event", {"validation": zero, "test": small})
    assert note.startswith("The standard error of validation and test is zero: all those events")
    some = {"validation": split_of(2.85, 0.024), "test": split_of(-5.2, 0.0)}
    assert "of test is" in likelihood_notes("event", some)[0]
    assert likelihood_notes("event", some | {"test": split_of(5.2, None)}) == []


def test_controls_are_those_of_unicode_and_the_marks_of_direction() -> None:
    marks = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
    for point in range(0x110000):
        is_command = unicodedata.category(chr(point)) in ("Cc", "Zl", "Zp", "Cs") or point in marks
        assert is_control(chr(point)) == is_command, hex(point)
        kept = not is_command or chr(point) in "\n\t"
        assert printable(chr(point)) == (chr(point) if kept else "\ufffd"), hex(point)


def test_a_name_that_is_no_utf8_can_be_written() -> None:
    name = b"\xff rows.csv".decode(errors="surrogateescape")
    assert printable(name) == one_line(name) == "\ufffd rows.csv"
