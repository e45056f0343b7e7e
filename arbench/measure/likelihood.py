"""The measurement `likelihood`: nats and bits/dim of validation and test."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor

from arbench.data.tasks import Split, SplitName
from arbench.measure.context import Context, Handed
from arbench.measure.evaluation import nll_of
from arbench.measure.measured import Measured
from arbench.measure.measurement import Measurement
from arbench.measure.sections import Environment, LikelihoodSection, Section, SplitRecord
from arbench.probability.density import Density


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
                log_probs = context.log_probs(name)
                splits[name] = split_record(density, dataset.split(name), log_probs)
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

    def section(self, measured: Measured, context: Context, environment: Environment) -> Section:
        """Its part of a record, which has a place for each split."""
        return LikelihoodSection(version=self.version, environment=environment, **measured.details)


def split_record(density: Density, split: Split, log_probs: Tensor) -> SplitRecord:
    """The likelihood of one split.

    Args:
        density: whose.
        split: its events.
        log_probs: `(N,)` nats, float64, of the events.
    """
    return SplitRecord.from_nll(nll_of(log_probs, split, density.spec.domain), density.kind)
