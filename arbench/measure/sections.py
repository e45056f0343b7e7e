"""The schema of `measurements` in a record: the sections of likelihood and speed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError, model_validator

from arbench.files.documents import (
    Count,
    Finite,
    Line,
    NonNegative,
    Part,
    describe_validation,
)
from arbench.measure.environment import Section
from arbench.measure.statistics.metrics import FLOAT64_ROUNDING_SHARE, NLL
from arbench.probability.bits import Kind, in_bits

if TYPE_CHECKING:
    from arbench.measure.statistics.blocks import Blocks


class WindowsRecord(Part):
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
            rule=blocks.rule,
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
    standard_error_nats: NonNegative | None
    standard_error_bits_per_dim: NonNegative | None
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
            raise ValueError(
                "standard_error_nats must be null for one group of events, and only then"
            )
        if (self.standard_error_bits_per_dim is None) != (alone or self.bits_per_dim is None):
            raise ValueError(
                "standard_error_bits_per_dim must be given exactly if bits_per_dim and "
                "standard_error_nats are"
            )
        if self.num_groups is not None and self.num_groups > self.num_events:
            raise ValueError(f"{self.num_groups:,} groups of {self.num_events:,} events")
        if self.block is not None and self.block.num_blocks != self.num_groups:
            raise ValueError(
                f"it has {self.block.num_blocks:,} blocks and another number of groups"
            )
        return self

    def misfit(self, num_dims: int, windows: WindowsRecord | None) -> str | None:
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
            return "a stream has a block, and only a stream has one"
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


class SpeedRecord(Part):
    """How fast one sampler is on one device."""

    method: Line
    batch_size: Count
    device: Line
    precision: Line
    compiled: bool
    repeats: Count
    median_s: Finite
    iqr_s: Finite
    events_per_s: Finite
    extrapolated: bool


class LikelihoodSection(Section):
    """The likelihood of validation and test; `windows` are those of a stream."""

    windows: WindowsRecord | None = None
    validation: SplitRecord | None = None
    test: SplitRecord | None = None

    @model_validator(mode="after")
    def _is_of_a_split(self) -> LikelihoodSection:
        if self.validation is None and self.test is None:
            raise ValueError("a likelihood needs validation, test or both")
        return self


class SpeedSection(Section):
    """How fast samplers are, a row for each and each batch size."""

    rows: Annotated[list[SpeedRecord], Field(min_length=1)]


# Of these a record knows more than of others, as every older version of it did: what they have to
# say is a section of a shape of its own. The first two are in the record of every run.
OWN_SHAPES = ("likelihood", "speed", "truth")
_OF_EVERY_RUN: dict[str, type[Section]] = {"likelihood": LikelihoodSection, "speed": SpeedSection}


def sections_of(measurements: Any) -> Any:
    """The sections of results by key, each by the schema of its own; what is no mapping stays.

    A key is a measurement's name, or `name?settings`.

    Raises:
        ValueError: if one breaks its schema.
    """
    if not isinstance(measurements, dict):
        return measurements
    found: dict[str, Section] = {}
    for key, values in measurements.items():
        if isinstance(values, Section):
            found[key] = values
            continue
        name = key.partition("?")[0]
        schema = _OF_EVERY_RUN.get(name)
        if schema is None:
            from arbench.measure.result_sections import ResultSection, TruthSection

            schema = TruthSection if name == "truth" else ResultSection
        try:
            found[key] = schema.model_validate(values)
        except ValidationError as error:
            raise ValueError(f"{key}: {describe_validation(error)}") from error
    return found
