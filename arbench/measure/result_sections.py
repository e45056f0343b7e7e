"""What any measurement but likelihood, speed and truth leaves in a record."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from arbench.files.documents import Count, Finite, Line, Natural, NonNegative, Part, Sha256, Values
from arbench.measure.environment import Section
from arbench.measure.measurement import Measured


class RowRecord(Part):
    """One number of a measurement.

    Attributes:
        case: what it is of; empty where there is one number only.
        value: the number.
        unit: of the number.
        better: which direction is better, if either is.
        error: its standard error; None where there is none.
    """

    case: Line = ""
    value: Finite
    unit: Line
    better: Literal["lower", "higher"] | None
    error: NonNegative | None = None


class ResultSection(Section):
    """What any other measurement leaves.

    Attributes:
        seed: of the run, by which whatever it draws is keyed.
        index: what its values are of: a split, or "samples".
        values: the names of its values in `per_event.safetensors`.
        num_values: how many there are of each name; 0 if it leaves none.
        num_groups: how many independent groups of them the errors are over.
        rows: its numbers; the first is the one that boards show.
        baselines: the same numbers of the data alone.
        details: what else it has to say.
        opened: sha256 of what it opened beside the run's own data, by name.
        pictures: that it left, by their paths within the run folder.
    """

    seed: Natural
    index: Line
    values: list[Line] = Field(default_factory=list)
    num_values: Natural = 0
    num_groups: Count | None = None
    rows: Annotated[list[RowRecord], Field(min_length=1)]
    baselines: list[RowRecord] = Field(default_factory=list)
    details: Values = Field(default_factory=dict)
    opened: dict[Line, Sha256] = Field(default_factory=dict)
    pictures: list[Line] = Field(default_factory=list)

    @classmethod
    def of(cls, measured: Measured, **where: Any) -> ResultSection:
        """The section of an answer.

        Args:
            measured: the answer.
            where: version, settings, environment, seed and what was opened.
        """
        groups = measured.groups
        independent = len(torch.unique(groups)) if groups is not None else measured.num_values
        return cls(
            **where,
            index=measured.index,
            values=[*measured.values],
            num_values=measured.num_values,
            num_groups=independent or None,
            rows=[RowRecord(**asdict(row)) for row in measured.rows],
            baselines=[RowRecord(**asdict(row)) for row in measured.baselines],
            details={**measured.details},
            pictures=[
                f"{path.parent.parent.name}/{path.parent.name}/{path.name}"
                for path in measured.pictures
            ],
        )
