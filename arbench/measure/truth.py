"""The paired gap to the true density of a synthetic task."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from arbench.data.tasks import Split, Task
from arbench.errors import Diverged
from arbench.measure.statistics.metrics import paired_difference
from arbench.measure.statistics.student import FOUR_SIGMA


@dataclass(frozen=True)
class TruthGap:
    """How much worse a density is than the true one, nats per test event, paired."""

    true_nats_per_event: float
    gap_nats_per_event: float
    standard_error_nats: float


def compare_with_truth(name: str, task: Task, test: Split, log_probs: Tensor) -> TruthGap | None:
    """The paired gap to the true density; None where nobody knows it.

    Args:
        name: what messages call the density.
        task: synthetic, or not.
        test: its test split.
        log_probs: `(N,)` nats, of its events.

    Raises:
        Diverged: if the density beats the true one by more than 4 standard errors, on events enough
            for that to mean something.
    """
    if not task.has_true_log_prob or min(len(test), test.num_groups or len(test)) < 2:
        return None
    truth = task.true_log_prob(test.events).double()
    gap = paired_difference(
        truth,
        log_probs,
        groups=test.groups,
        stream_dims=test.scored_dims if test.is_stream else None,
    )
    if gap.has_enough_groups and gap.nats < 0 and gap.p_value < FOUR_SIGMA:
        raise Diverged(
            f"{name} is {-gap.nats:.4f} nats better than the true density, {-gap.z:.1f} standard "
            "errors: impossible, so its likelihood is wrong; the checks of "
            "arbench.testing.conformance say where"
        )
    return TruthGap(
        true_nats_per_event=-truth.mean().item(),
        gap_nats_per_event=gap.nats,
        standard_error_nats=gap.standard_error,
    )
