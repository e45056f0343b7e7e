"""The log-probabilities of the test events, which a record's number is made of."""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

from arbench.errors import DataError
from arbench.experiment.files import sha256_of
from arbench.experiment.likelihood import SplitRecord
from arbench.experiment.records import Record
from arbench.experiment.weights import load_tensors
from arbench.probability.metrics import FLOAT64_ROUNDING_SHARE


def test_of(record: Record, path: Path) -> SplitRecord:
    """What a record says of the test split.

    Args:
        record: of a run.
        path: what to name if it says nothing.

    Raises:
        DataError: if it has no test number; says why.
    """
    if "test" in record.nll:
        return record.nll["test"]
    why = "was made with evaluate_test = false" if record.nll else "is not finished"
    raise DataError(f"{path}: there is no test number: the run {why}")


def read_log_probs(record: Record, path: Path) -> Tensor:
    """The per-event log-probabilities in a file, if they are those of the record.

    Comparisons, ranks and verification rest on this file, and tables show the record: the two
    could otherwise tell different stories.

    Args:
        record: with a test number.
        path: a `log_probs.safetensors`.

    Returns:
        `(N,)` nats, float64.

    Raises:
        CheckpointError: if the file is missing or damaged.
        DataError: if the record has no test number, it is no likelihood, or it is not the one of
            these events.
    """
    test = test_of(record, path)
    if fault := record.no_likelihood:
        raise DataError(f"{path}: {fault}")
    found = load_tensors(path).get("test")
    fault = None
    if found is None or found.shape != (test.num_events,) or not found.is_floating_point():
        fault = f"expected {test.num_events:,} of them, one for each test event"
    elif record.sha256.per_event not in (None, sha256_of(path)):
        fault = "their sha256 is another"
    else:
        found = found.double()
        nats, error = -found.sum().item(), test.standard_error_nats
        spread = found.std().item() / math.sqrt(len(found)) if len(found) > 1 else None
        if not math.isclose(nats, test.total_nats, rel_tol=FLOAT64_ROUNDING_SHARE):
            fault = f"they sum to {nats:,.3f} nats, and it says {test.total_nats:,.3f}"
        elif spread is not None and (
            error is None or not math.isclose(spread, error, rel_tol=1e-6, abs_tol=1e-9)
        ):
            fault = f"their standard error is {spread:.6g}, and it says {error}"
    if fault is not None or found is None:
        raise DataError(f"{path}: these log-probabilities are not the record's: {fault}")
    return found
