"""The likelihood in a record: totals, what is made of them, and how a stream was scored."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, model_validator

from arbench.files.documents import Count, Finite, Line, Part
from arbench.measure.statistics.blocks import RULE, Blocks
from arbench.measure.statistics.metrics import FLOAT64_ROUNDING_SHARE, NLL
from arbench.probability.bits import in_bits
from arbench.probability.density import Kind

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

    @classmethod
    def from_blocks(cls, blocks: Blocks) -> BlockRecord:
        """The record of measured blocks."""
        return cls(
            rule=RULE,
            length=blocks.length,
            num_blocks=blocks.num_blocks,
            still_growing=blocks.still_growing,
        )


class SplitRecord(Part):
    """The likelihood of one split, totals first; the ratios are those of the totals.

    A density's bits per dim depend on the width of its bins, which no record holds: they are None,
    or what `arbench verify` finds.

    Attributes:
        num_groups: how many independent groups of events the errors are over; None in a record of
            format 1, which took every event for one.
        block: of a stream, whose groups are blocks.
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
        alone = (self.num_groups or self.num_events) == 1
        if (self.standard_error_nats is None) != alone:
            raise ValueError("a standard error is null for one group of events, and for no more")
        if (self.standard_error_bits_per_dim is None) != (alone or self.bits_per_dim is None):
            raise ValueError("bits per dim have a standard error where they are and nats have one")
        if self.num_groups is not None and self.num_groups > self.num_events:
            raise ValueError(f"{self.num_groups:,} groups of {self.num_events:,} events")
        if self.block is not None and self.block.num_blocks != self.num_groups:
            raise ValueError(f"its blocks are {self.block.num_blocks:,}, its groups are others")
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
        if self.num_groups is not None and (self.block is None) != (windows is None):
            return "a stream's errors are over blocks, and nothing else's"
        by_event, by_dim = self.standard_error_nats, self.standard_error_bits_per_dim
        # Where all events have as many dims, the errors differ by that factor alone; so they do
        # over blocks, as the symbols of a window are no chance.
        alike = self.num_dims == most or self.block is not None
        if alike and by_event is not None and by_dim is not None:
            expected = in_bits(by_event * self.num_events / self.num_dims)
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
            num_groups=nll.num_groups,
            block=None if nll.blocks is None else BlockRecord.from_blocks(nll.blocks),
        )


class TruthRecord(Part):
    """The paired gap to the true density of a synthetic task, test split."""

    true_nats_per_event: Finite
    gap_nats_per_event: Finite
    standard_error_nats: Finite
