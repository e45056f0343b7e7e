"""The likelihood in a record: totals, what is made of them, and how a stream was scored."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, model_validator

from arbench.experiment.documents import Count, Finite, Line, Part
from arbench.experiment.units import bits_text, nats_text
from arbench.probability.bits import in_bits
from arbench.probability.density import Kind
from arbench.probability.metrics import FLOAT64_ROUNDING_SHARE, NLL

StandardError = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class EvaluationRecord(Part):
    """How a stream was scored: every symbol once, with at least `context - stride` before it."""

    context: Count
    stride: Count

    def count(self, num_symbols: int) -> int:
        """How many windows score so many symbols."""
        return 1 + max(0, math.ceil((num_symbols - self.context) / self.stride))


class BlockRecord(Part):
    """Into what blocks a stream's events were joined for their standard error.

    Attributes:
        rule: by which their length was chosen.
        length: symbols per block.
        num_blocks: how many there are.
        still_growing: whether longer blocks would have given a larger error, so that the one
            stated is a lower bound.
    """

    rule: Line
    length: Count
    num_blocks: Count
    still_growing: bool


class SplitRecord(Part):
    """The likelihood of one split, totals first; the ratios are those of the totals.

    A density's bits per dim depend on the width of its bins, which no record holds: they are None,
    or what `arbench verify` finds.
    """

    total_nats: Finite
    num_events: Count
    num_dims: Count
    nats_per_event: Finite
    bits_per_dim: Finite | None
    standard_error_nats: StandardError | None
    standard_error_bits_per_dim: StandardError | None
    kind: Kind
    num_groups: Count | None = None
    block: BlockRecord | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> SplitRecord:
        nats = self.total_nats / self.num_events
        if not math.isclose(self.nats_per_event, nats, rel_tol=FLOAT64_ROUNDING_SHARE):
            raise ValueError(f"nats_per_event is not total_nats over num_events, {nats:.6f}")
        bits = in_bits(self.total_nats / self.num_dims)
        if self.kind == "exact" and (
            self.bits_per_dim is None
            or not math.isclose(self.bits_per_dim, bits, rel_tol=FLOAT64_ROUNDING_SHARE)
        ):
            raise ValueError(f"bits_per_dim is not total_nats over num_dims in bits, {bits:.6f}")
        for error in (self.standard_error_nats, self.standard_error_bits_per_dim):
            if (error is None) != (self.num_events == 1):
                raise ValueError("a standard error is null for one event, and for no more")
        return self

    def misfit(self, num_dims: int, windows: EvaluationRecord | None) -> str | None:
        """Why such totals cannot be those of a task's events; None if they can.

        Args:
            num_dims: of an event; not all of them need be scored.
            windows: of a stream, through which it was scored.
        """
        most = self.num_events * num_dims
        if self.num_dims > most:
            return f"{self.num_events:,} events have {most:,} dims at most"
        count = self.num_events if windows is None else windows.count(self.num_dims)
        if self.num_events != count:
            return f"{self.num_dims:,} symbols are scored in {count:,} windows"
        by_event, by_dim = self.standard_error_nats, self.standard_error_bits_per_dim
        # Where all events have as many dims, the errors differ by that factor alone.
        if self.num_dims == most and by_event is not None and by_dim is not None:
            expected = in_bits(by_event / num_dims)
            if not math.isclose(by_dim, expected, rel_tol=1e-6, abs_tol=1e-9):
                return f"standard_error_bits_per_dim is not {expected:.6g}"
        return None

    @classmethod
    def from_nll(cls, nll: NLL, kind: Kind) -> SplitRecord:
        """The record of measured totals."""
        return cls(
            total_nats=nll.total_nats,
            num_events=nll.num_events,
            num_dims=nll.num_dims,
            nats_per_event=nll.nats_per_event,
            bits_per_dim=nll.bits_per_dim,
            standard_error_nats=nll.standard_error_nats,
            standard_error_bits_per_dim=nll.standard_error_bits_per_dim,
            kind=kind,
        )

    def nats_text(self, unit: str, *, digits: int = 3) -> str:
        """Nats with their standard error: per symbol of a text, else per event."""
        return nats_text(unit, self.model_dump(), digits=digits)

    @property
    def bits_text(self) -> str:
        """Bits per dim with their standard error, or a dash where a density has none."""
        return bits_text(self.model_dump())


class TruthRecord(Part):
    """The paired gap to the true density of a synthetic task, test split."""

    true_nats_per_event: Finite
    gap_nats_per_event: Finite
    standard_error_nats: Finite
