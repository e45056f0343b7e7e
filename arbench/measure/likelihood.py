"""The measurement `likelihood`: nats and bits/dim of validation and test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from arbench.data.tasks import Split, SplitName
from arbench.errors import Diverged
from arbench.measure.context import Context, Handed
from arbench.measure.measurement import Measured, Measurement
from arbench.measure.sections import (
    SplitRecord,
    WindowsRecord,
)
from arbench.measure.statistics.metrics import NLL
from arbench.probability.events import Domain
from arbench.probability.precision import evaluation_mode
from arbench.show.reporting import Advance

if TYPE_CHECKING:
    from arbench.data.streams import Windows
    from arbench.probability.density import Density

_MOST_EVENTS = 200
# Per batch: a softmax over 256 values then takes a quarter of a gigabyte, not several.
_MOST_DIMS = 1 << 18


class Likelihood(Measurement):
    """The negative log-likelihood of validation and test, in nats per event."""

    name = "likelihood"
    version = "1"
    unit = "nats"
    better = "lower"
    reads: tuple[str, ...] = ("validation", "test")
    negates = True

    @classmethod
    def of(cls, *splits: str) -> Self:
        """That of some splits alone; the others are never opened."""
        made = cls()
        made.reads = splits
        return made

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        """The totals of every split, and the log-probability of every test event."""
        splits: dict[str, SplitRecord] = {}
        names: tuple[SplitName, ...] = ("validation", "test")
        for name in names:
            if name in self.reads:
                split = dataset.split(name)
                nll = nll_of(context.log_probs(name), split, density.spec.domain)
                splits[name] = SplitRecord.from_nll(nll, density.kind)
        index = "test" if "test" in splits else "validation"
        number = splits[index]
        details: dict[str, Any] = {
            name: split.model_dump(mode="json") for name, split in splits.items()
        }
        windows = dataset.windows
        if windows is not None:
            details["windows"] = {"context": windows.context, "stride": windows.stride}
        return Measured(
            [self.row(index, number.nats_per_event, number.standard_error_nats)],
            {"log_prob": context.log_probs("test")} if index == "test" else {},
            index=index,
            details=details,
        )


def scored_windows(windows: Windows | None) -> WindowsRecord | None:
    """How a stream is scored; None for a task of events."""
    if windows is None:
        return None
    return WindowsRecord(context=windows.context, stride=windows.stride)


@torch.no_grad()
def evaluate_log_probs(
    density: Density,
    split: Split,
    *,
    batch_size: int | None = None,
    progress: Advance | None = None,
) -> Tensor:
    """Log-probability of every event, in order, the last partial batch included.

    Args:
        density: what to evaluate.
        split: its events.
        batch_size: events per call; by default 200, or fewer if they are long.
        progress: told the fraction of events done.

    Returns:
        `(N,)` nats, float64, on the CPU.

    Raises:
        Diverged: at the first log-probability that is not finite.
    """
    if batch_size is None:
        batch_size = max(1, min(_MOST_EVENTS, _MOST_DIMS // split.events[0].numel()))
    parts = []
    module = density if isinstance(density, nn.Module) else nn.Module()
    with evaluation_mode(module):
        for start in range(0, len(split), batch_size):
            events = split.events[start : start + batch_size]
            scored = None if split.scored is None else split.scored[start : start + batch_size]
            log_probs = density.log_prob(events, scored).cpu().double()
            if not bool(torch.isfinite(log_probs).all()):
                index = start + int((~torch.isfinite(log_probs)).nonzero()[0])
                raise Diverged(
                    f"event {index} has log-probability {log_probs[index - start].item()}: "
                    "arbench reports only finite numbers; if you train this model here, try a "
                    "smaller learning_rate"
                )
            parts.append(log_probs)
            if progress is not None:
                progress((start + len(events)) / len(split), "")
    return torch.cat(parts)


def nll_of(log_probs: Tensor, split: Split, domain: Domain) -> NLL:
    """The totals of a split's log-probabilities."""
    return NLL.from_log_probs(
        log_probs,
        split.scored_dims,
        domain.bin_width,
        groups=split.groups,
        is_stream=split.is_stream,
    )
