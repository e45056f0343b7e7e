"""The measurement `likelihood`: nats and bits/dim of validation and test, and their record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from arbench.data.tasks import Split, SplitName
from arbench.errors import Diverged
from arbench.files.documents import Count, Finite, Line, NonNegative, Part
from arbench.measure.allocator import kept_for_reuse
from arbench.measure.context import Context, Handed
from arbench.measure.environment import Section
from arbench.measure.measurement import Measured, Measurement
from arbench.measure.statistics.metrics import FLOAT64_ROUNDING_SHARE, NLL, group_sums
from arbench.probability.bits import Kind, in_bits
from arbench.probability.events import Discrete, Domain
from arbench.probability.precision import evaluation_mode
from arbench.show.reporting import Advance

if TYPE_CHECKING:
    from arbench.data.streams import PieceWindows, Windows
    from arbench.measure.statistics.blocks import Blocks
    from arbench.probability.density import Density

Scored = tuple[Tensor, Split]  # log-probabilities of the events of a split
_MOST_EVENTS = 200
_MOST_DIMS = 1 << 18
_MOST_NUMBERS = 1 << 22  # of a batch, one for each value of each dim: 16 MB of float32
_MOST_UNITS = 1 << 19  # of a batch in one layer: 2 MB of float32, about what a core's cache holds


class WindowsRecord(Part):
    """How a stream was scored: every symbol once, with at least `context - stride` before it."""

    context: Count
    stride: Count

    def count(self, num_symbols: int) -> int:
        """How many windows score so many symbols."""
        return 1 + max(0, math.ceil((num_symbols - self.context) / self.stride))


class PieceMean(Part):
    """A mean over pieces of their mean nats per step, and its standard error; None for one."""

    nats_per_step: Finite
    standard_error_nats: NonNegative | None

    @classmethod
    def of(cls, log_probs: Tensor, split: Split, step_dims: int) -> PieceMean:
        """That of windows, whose groups are pieces.

        Args:
            log_probs: `(N,)` nats.
            split: the windows.
            step_dims: dims in a step.
        """
        assert split.groups is not None  # of pieces
        nats = group_sums(-log_probs.double(), split.groups)
        means = nats / group_sums(split.scored_dims.double(), split.groups) * step_dims
        alone = len(means) == 1
        error = None if alone else means.std().item() / math.sqrt(len(means))
        return cls(nats_per_step=means.mean().item(), standard_error_nats=error)


class PiecesRecord(Part):
    """How pieces were scored, and their other average; all counts are of steps, such as chords.

    Every step is scored once, with at least `context - stride` before it in its piece. Nats per
    step of a split are total nats over all steps; here each piece has a mean of its own, and all
    pieces weigh the same.

    Attributes:
        context: steps in a window.
        stride: steps from one window to the next.
        step_dims: dims in a step.
        validation: the mean over pieces of their nats per step.
        test: likewise.
    """

    context: Count
    stride: Count
    step_dims: Count
    validation: PieceMean | None = None
    test: PieceMean | None = None

    @classmethod
    def of(cls, pieces: PieceWindows, scored: Mapping[SplitName, Scored]) -> PiecesRecord:
        """The record of splits by name, each with its log-probabilities `(N,)`, nats."""
        means = {
            name: PieceMean.of(log_probs, split, pieces.step_dims)
            for name, (log_probs, split) in scored.items()
        }
        return cls(
            context=pieces.context,
            stride=pieces.stride,
            step_dims=pieces.step_dims,
            validation=means.get("validation"),
            test=means.get("test"),
        )


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

    @classmethod
    def of(cls, log_probs: Tensor, split: Split, domain: Domain, kind: Kind) -> SplitRecord:
        """The record of a split's log-probabilities `(N,)`, nats."""
        nll = NLL.from_log_probs(
            log_probs,
            split.scored_dims,
            domain.bin_width,
            groups=split.groups,
            is_stream=split.is_stream,
        )
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


class LikelihoodSection(Section):
    """The likelihood of validation and test; `windows` are of a stream, `pieces` of pieces."""

    windows: WindowsRecord | None = None
    pieces: PiecesRecord | None = None
    validation: SplitRecord | None = None
    test: SplitRecord | None = None


class Likelihood(Measurement):
    """The negative log-likelihood of validation and test, in nats per event."""

    name = "likelihood"
    version = "1"
    unit = "nats"
    better = "lower"
    reads: tuple[str, ...] = ("validation", "test")
    negates = True
    section = LikelihoodSection

    @classmethod
    def of(cls, *splits: str) -> Self:
        """That of some splits alone; the others are never opened."""
        made = cls()
        made.reads = splits
        return made

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        """The totals of every split, and the log-probability of every test event."""
        splits: dict[SplitName, SplitRecord] = {}
        names: tuple[SplitName, ...] = ("validation", "test")
        for name in names:
            if name in self.reads:
                split = dataset.split(name)
                log_probs = context.log_probs(name)
                splits[name] = SplitRecord.of(log_probs, split, density.spec.domain, density.kind)
        index: SplitName = "test" if "test" in splits else "validation"
        number = splits[index]
        details: dict[str, Any] = {
            name: split.model_dump(mode="json") for name, split in splits.items()
        }
        windows = dataset.windows
        if windows is not None:
            details["windows"] = {"context": windows.context, "stride": windows.stride}
        if dataset.pieces is not None:
            scored = {name: (context.log_probs(name), dataset.split(name)) for name in splits}
            details["pieces"] = PiecesRecord.of(dataset.pieces, scored).model_dump(mode="json")
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


def evaluation_batch(density: Density) -> int:
    """How many events are evaluated at once: 200, or fewer if they are long or have many values.

    A softmax gives a number to every value of every dim, and some networks have many units for each
    of them (`SitewiseNetwork`). More of them at once than a processor keeps at hand take much
    memory and no less time. The batch depends on nothing else, so that values per event are the
    same to the bit whoever evaluates them on such a device.
    """
    spec, per_site = density.spec, 1
    if isinstance(density, nn.Module) and density.device.type == "cpu":
        per_site = max(getattr(part, "units_per_site", 1) for part in density.modules())
    sizes = [domain.size for domain in spec.dim_domains if isinstance(domain, Discrete)]
    per_dim = max([1, *(size for size in sizes if size > 2)])  # two values have one number
    most = min(
        _MOST_DIMS // spec.num_dims,
        _MOST_NUMBERS // (spec.num_dims * per_dim),
        _MOST_UNITS // (spec.num_dims * per_site),
    )
    return max(1, min(_MOST_EVENTS, most))


@torch.no_grad()
def evaluate_log_probs(
    density: Density,
    split: Split,
    *,
    batch_size: int | None = None,
    deal: tuple[int, int] = (0, 1),
    progress: Advance | None = None,
) -> Tensor:
    """Log-probability of every event, in order, the last partial batch included.

    Args:
        density: what to evaluate.
        split: its events.
        batch_size: events per call; see `evaluation_batch`.
        deal: (r, n): only batches r, r + n, r + 2 n and so on; there may be none.
        progress: told the fraction of events done.

    Returns:
        `(N,)` nats, float64, on the CPU, of the events in those batches.

    Raises:
        Diverged: at the first log-probability that is not finite.
    """
    if batch_size is None:
        batch_size = evaluation_batch(density)
    parts = [torch.empty(0, dtype=torch.float64)]
    module = density if isinstance(density, nn.Module) else nn.Module()
    with kept_for_reuse(), evaluation_mode(module):
        for start in range(deal[0] * batch_size, len(split), deal[1] * batch_size):
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
