"""The data classes of a board: the board, its rows and their sampling speeds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from arbench.boards.results import Result
from arbench.data.units import nats_per
from arbench.probability.bits import Kind


@dataclass(frozen=True)
class Speed:
    """How fast one sampler is on one device, at the batch size that suits it best."""

    method: str
    device: str
    machine: str
    batch_size: int
    events_per_s: float
    extrapolated: bool


@dataclass(frozen=True)
class Row:
    """One row of a board.

    Attributes:
        rank: 1 plus the number of results that are significantly better; None if published, or of a
            compressor.
        model: its name, and what sets it apart from others of that name.
        bits_per_dim: None for a density without bins.
        bits_error: its standard error; None without a rank, as all that follows but `nats`.
        nats: per symbol of a text, else per event; None where a paper has bits per dim and nobody
            says how many dims an event has.
        nats_error: its standard error, over events; over seeds, too, where there are three.
        still_growing: whether both errors are lower bounds; see `statistics.blocks`.
        num_seeds: over how many seeds of one recipe the numbers are means; 1 is a row of these
            weights. None without a rank.
        gap_nats: per event, to the true density of a synthetic task; None where nobody knows it.
        num_parameters: None if nobody says.
        training_s: how long it was trained.
        training_device: on what.
        speeds: of its samplers.
        status: "verified", "self-reported", "local", "published", "unchecked" or "compressor".
        source: the recipe, the class of a foreign density, a paper, or what a compressor was given.
        note: what a reader should know about a published number.
        run: the name of the user's own run, or of runs that differ in their seed; else empty.
        nats_sd: the standard deviation of nats over seeds; None unless there are several.
        result: what the row shows; None without a rank.
    """

    rank: int | None
    model: str
    bits_per_dim: float | None
    bits_error: float | None
    nats: float | None
    nats_error: float | None
    still_growing: bool
    num_seeds: int | None
    gap_nats: float | None
    num_parameters: int | None
    training_s: float | None
    training_device: str | None
    speeds: tuple[Speed, ...]
    status: str
    source: str
    note: str = ""
    run: str = ""
    nats_sd: float | None = None
    result: Result | None = field(default=None, repr=False)

    @property
    def is_result(self) -> bool:
        """Whether somebody evaluated a density here; those alone have a rank."""
        return self.rank is not None

    @property
    def published(self) -> bool:
        """Whether it is a paper's number."""
        return self.status in ("published", "unchecked")

    @property
    def is_checked(self) -> bool:
        """Whether the trained model was found to keep its promises at its own size."""
        checks = None if self.result is None else self.result.record.checks
        return checks is not None and any(check is not None for _, check in checks)

    @property
    def score(self) -> float:
        """What rows are ordered by: bits per dim, or nats where there are none."""
        value = self.nats if self.bits_per_dim is None else self.bits_per_dim
        assert value is not None  # every number is one or the other
        return value

    @property
    def score_error(self) -> float | None:
        """The standard error of the score."""
        return self.nats_error if self.bits_per_dim is None else self.bits_error

    def to_json(self) -> dict[str, Any]:
        """The row as plain values, for machines."""
        values = {name: value for name, value in vars(self).items() if name != "result"}
        speeds = [vars(speed) for speed in self.speeds]
        return values | {"speeds": speeds, "is_checked": self.is_checked}


@dataclass(frozen=True)
class Board:
    """The results on one task that can be compared.

    Attributes:
        task: its name.
        kind: of the numbers.
        unit: what one dim is called.
        data_sha256: of the events; None where there are published rows alone.
        rows: best first.
        data: what sets its data apart, if the task has results on several; else empty.
    """

    task: str
    kind: Kind
    unit: str
    data_sha256: str | None
    rows: tuple[Row, ...]
    data: str = ""

    @property
    def title(self) -> str:
        """Its task, its data where there are several, and its kind where that is not the usual."""
        kinds = {"exact": "", "density": ", densities", "bound": ", bounds and estimates"}
        data = f" ({self.data})" if self.data else ""
        return f"{self.task}{data}{kinds[self.kind]}"

    @property
    def key(self) -> str:
        """What tells it from every other board, for machines."""
        return "-".join([self.task, *re.findall("[A-Za-z0-9]+", self.data), self.kind])

    @property
    def num_results(self) -> int:
        """How many rows have a rank."""
        return sum(row.is_result for row in self.rows)

    @property
    def num_published(self) -> int:
        """How many rows are papers' numbers."""
        return sum(row.published for row in self.rows)

    @property
    def has_bits(self) -> bool:
        """Whether its numbers are probabilities, which have bits."""
        return any(row.bits_per_dim is not None for row in self.rows)

    @property
    def has_gap(self) -> bool:
        """Whether the true density is known."""
        return any(row.gap_nats is not None for row in self.rows)

    @property
    def measure(self) -> str:
        """What `Row.score` is, such as "bits/pixel"."""
        return f"bits/{self.unit}" if self.has_bits else f"nats/{nats_per(self.unit)}"

    def to_json(self) -> dict[str, Any]:
        """The board as plain values, for machines."""
        return vars(self) | {"rows": [row.to_json() for row in self.rows]}
