"""Sentences about a record's numbers: few events, no error, no test split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FEW_EVENTS = 200
_ROUNDING_SHARE = 1e-6  # of a log-probability in float32


def likelihood_notes(group: str, nll: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sentences about the numbers of a record; none if there is nothing to say.

    Args:
        group: what is independent, a record's `task.groups`.
        nll: the likelihood of each split, as JSON has it; empty if the training did not finish.
    """
    notes = []
    if nll and "test" not in nll:
        notes.append(
            "The test split was not evaluated (evaluate_test = false), so there is no test number."
        )
    if "test" in nll:
        notes += [groups_note(group, nll["test"]), few_events_note(nll["test"]["num_events"])]
    errors = {
        name: (split["nats_per_event"], split["standard_error_nats"]) for name, split in nll.items()
    }
    return [note for note in [*notes, no_error_note(errors)] if note]


def groups_note(group: str, test: Mapping[str, Any]) -> str:
    """What a split's standard errors are over; empty where that is single events.

    Args:
        group: what is independent, a record's `task.groups`.
        test: one split's part of a record.
    """
    count, block = test.get("num_groups"), test.get("block")
    if count == 1:  # a single event is told by `few_events_note`
        if test["num_events"] == 1:
            return ""
        return f"All test events are of one {group}, which has no standard error."
    if block is not None:
        grows = (
            "; longer blocks would show a larger one, as far as anybody can tell, so it is a lower "
            "bound (still growing)"
        )
        return (
            f"The standard error is over {block['num_blocks']:,} blocks of "
            f"{block['length']:,} symbols{grows * block['still_growing']}."
        )
    if count is None or count == test["num_events"]:
        return ""
    return f"The standard error is over {count:,} {group}s, of which the events are parts."


def few_events_note(num_events: int) -> str:
    """What to know about a test number that rests on few events; empty when they are many."""
    if num_events >= FEW_EVENTS:
        return ""
    if num_events == 1:
        return "The test number rests on 1 event only, which has no standard error."
    return (
        f"The test number rests on {num_events} events only: "
        "so few that its standard error, if any, is a rough guess too."
    )


def no_error_note(nll: Mapping[str, tuple[float, float | None]]) -> str:
    """What to know about numbers whose standard error is zero; empty where none is.

    Args:
        nll: nats per event and their standard error, of each split.
    """
    splits = [
        split
        for split, (nats, error) in nll.items()
        if error is not None and error <= _ROUNDING_SHARE * abs(nats)
    ]
    if not splits:
        return ""
    return (
        f"The standard error of {' and '.join(splits)} is zero: all those events have one "
        "log-probability, as equal ones do, so it does not say how sure the number is."
    )
