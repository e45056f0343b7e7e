"""Computes the standard errors of an older record anew."""

from __future__ import annotations

from arbench.data.tasks import Split
from arbench.measure.likelihood import BlockRecord
from arbench.measure.statistics.metrics import NLL
from arbench.runs.record.record import Record
from arbench.runs.record.values import LogProbs, window_dims

_ERRORS = ("standard_error_nats", "standard_error_bits_per_dim")


def with_errors(record: Record, kept: LogProbs, split: Split | None, group: str) -> Record:
    """A record with the standard errors of its test number over what is independent.

    Its other numbers stay, and so do its errors where all events are independent. Its own hash does
    not fit any more: the record is to be sealed again.

    Args:
        record: with a test number.
        kept: its log-probabilities, with groups where the task has them.
        split: its test split; None where it is not at hand and not needed: for streams, and for
            events that are independent.
        group: what is independent, as the task says.

    Raises:
        ValueError: if the split is needed to know how many dims of each event are scored.
    """
    likelihood, test = record.likelihood, record.splits["test"]
    assert likelihood is not None  # of which the test number is a part
    if record.windows is None and kept.groups is None:
        renewed = test.model_copy(update={"num_groups": test.num_events})
    else:
        if record.windows is not None:
            dims = window_dims(record)
        elif split is not None:
            dims = split.scored_dims
        else:
            raise ValueError(f"{record.task.name}: the scored dims of its events are in its data")
        nll = NLL.from_log_probs(
            kept.values, dims, groups=kept.groups, is_stream=record.windows is not None
        )
        block = None if nll.blocks is None else BlockRecord.from_blocks(nll.blocks)
        errors = {name: getattr(nll, name) for name in _ERRORS}
        renewed = test.model_copy(update={"num_groups": nll.num_groups, "block": block, **errors})
    if test.bits_per_dim is None:
        renewed = renewed.model_copy(update={"standard_error_bits_per_dim": None})
    return record.model_copy(
        update={
            "task": record.task.model_copy(update={"groups": group}),
            "measurements": {
                **record.measurements,
                "likelihood": likelihood.model_copy(update={"test": renewed}),
            },
        }
    )
