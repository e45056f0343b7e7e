"""The numbers of every score against every kind of outlier, with bootstrap errors over groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from arbench import error_of_resampled, group_weights
from arbench_detection.ranking import Quality, Ranking
from arbench_detection.scores import SCORES, outlier_score

_NUM_RESAMPLES = 1000
_AT_ONCE = 50  # resamples, whose weights are in memory together
_NAMES = Quality._fields


@dataclass(frozen=True)
class Cell:
    """A number and its standard error; None where there is a single group."""

    value: float
    error: float | None


@dataclass(frozen=True)
class QualityTable:
    """All numbers.

    Attributes:
        cells: by outliers, score and number ("auroc", "aupr", "fpr95").
        means: by score, the AUROC averaged over the kinds of outliers.
    """

    cells: Mapping[tuple[str, str, str], Cell]
    means: Mapping[str, Cell]

    @classmethod
    def of(
        cls,
        values: Mapping[str, Tensor],
        other: Tensor,
        names: Sequence[str],
        groups: Tensor,
        advance: Callable[[float, str], None] = lambda *_: None,
    ) -> QualityTable:
        """Of scores by name, `(N,)` each.

        Args:
            values: see `scores.SCORES`.
            other: `(N,)`, 0 for events of home, n for outliers of the n-th name.
            names: of the outliers.
            groups: `(N,)`; events with one number are not independent.
            advance: is told the share of resamples that are made.
        """
        scores = [name for name in SCORES if name in values]
        members = torch.unique(groups, return_inverse=True)[1]
        places = [(other == number).nonzero().squeeze(1) for number in range(len(names) + 1)]
        rankings = [
            [
                Ranking(*(outlier_score(score, values[score])[places[n]] for n in (0, number)))
                for score in scores
            ]
            for number in range(1, len(names) + 1)
        ]

        def numbers(weights: Tensor | None) -> Tensor:
            """`(R, others, scores, 3)` for weights `(R, N)`."""
            found = []
            for number, row in enumerate(rankings, 1):
                at = [None if weights is None else weights[:, places[n]] for n in (0, number)]
                found.append(torch.stack([torch.stack(r.quality(*at), -1) for r in row], 1))
            return torch.stack(found, 1)

        num_groups = int(members.max()) + 1
        drawn = group_weights(num_groups, _NUM_RESAMPLES)
        parts = []
        while chunk := [*islice(drawn, _AT_ONCE)]:
            parts.append(numbers(torch.stack(chunk)[:, members]))
            advance(len(parts) * _AT_ONCE / _NUM_RESAMPLES, "")
        whole, resampled = numbers(None)[0], torch.cat(parts)

        def cell(value: Tensor, again: Tensor) -> Cell:
            return Cell(value.item(), error_of_resampled(again, num_groups))

        cells = {
            (name, score, number): cell(whole[i, j, k], resampled[:, i, j, k])
            for i, name in enumerate(names)
            for j, score in enumerate(scores)
            for k, number in enumerate(_NAMES)
        }
        aurocs, again = whole[..., 0].mean(0), resampled[..., 0].mean(1)
        means = {score: cell(aurocs[j], again[:, j]) for j, score in enumerate(scores)}
        return cls(cells, means)

    def to_json(self) -> dict[str, Any]:
        """Outliers, score and number, each a name, to the value and its error."""
        found: dict[str, Any] = {}
        for (name, score, number), cell in self.cells.items():
            at = found.setdefault(name, {}).setdefault(score, {})
            at[number] = {"value": cell.value, "error": cell.error}
        return found
