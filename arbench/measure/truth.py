"""The measurement `truth`: the paired gap to the true density of a synthetic task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from arbench.data.tasks import Split, Task
from arbench.errors import Impossible
from arbench.files.documents import Finite
from arbench.measure.context import Context, Handed
from arbench.measure.environment import Section
from arbench.measure.measurement import Measured, Measurement
from arbench.measure.statistics.paired import paired_difference
from arbench.measure.statistics.student import FOUR_SIGMA

if TYPE_CHECKING:
    from arbench.probability.density import Density


class TruthSection(Section):
    """The paired gap to the true density of a synthetic task, test split."""

    true_nats_per_event: Finite
    gap_nats_per_event: Finite
    standard_error_nats: Finite


class Truth(Measurement):
    """The gap to the true density on the test events; a density that beats it is impossible."""

    name = "truth"
    version = "1"
    unit = "nats"
    better = "lower"
    section = TruthSection

    def refuses(self, density: Density, dataset: Handed) -> str | None:
        """Where nobody knows the truth, or one event stands for all."""
        if not dataset.has_true_log_prob:
            return f"nobody knows the true density of {dataset.name}"
        if _num_independent(dataset.split("test")) < 2:
            return f"one independent event of {dataset.name} says nothing of a gap"
        return None

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        """The mean gap, with its standard error."""
        log_probs = context.log_probs("test")
        gap = compare_with_truth(context.subject, dataset, dataset.split("test"), log_probs)
        assert gap is not None  # see `refuses`
        row = self.row("test", gap.gap_nats_per_event, gap.standard_error_nats)
        return Measured([row], details=asdict(gap))


def _num_independent(test: Split) -> int:
    return min(len(test), test.num_groups or len(test))


@dataclass(frozen=True)
class TruthGap:
    """How much worse a density is than the true one, nats per test event, paired."""

    true_nats_per_event: float
    gap_nats_per_event: float
    standard_error_nats: float


def compare_with_truth(
    name: str, task: Task | Handed, test: Split, log_probs: Tensor
) -> TruthGap | None:
    """The paired gap to the true density; None where nobody knows it.

    Args:
        name: what messages call the density.
        task: synthetic, or not.
        test: its test split.
        log_probs: `(N,)` nats, of its events.

    Raises:
        Impossible: if the density beats the true one by more than 4 standard errors, on events
            enough for that to mean something.
    """
    if not task.has_true_log_prob or _num_independent(test) < 2:
        return None
    truth = task.true_log_prob(test.events).double()
    gap = paired_difference(
        truth,
        log_probs,
        groups=test.groups,
        stream_dims=test.scored_dims if test.is_stream else None,
    )
    if gap.has_enough_groups and gap.nats < 0 and gap.p_value < FOUR_SIGMA:
        raise Impossible(
            f"{name} is {-gap.nats:.4f} nats better than the true density, {-gap.z:.1f} standard "
            "errors: impossible, so its likelihood is wrong; the checks of "
            "arbench.testing.conformance say where"
        )
    return TruthGap(
        true_nats_per_event=-truth.mean().item(),
        gap_nats_per_event=gap.nats,
        standard_error_nats=gap.standard_error,
    )
