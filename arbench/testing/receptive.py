"""`check --receptive-field` and `--picture`: which sites each site sees, in words and drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from arbench.probability.events import Discrete, EventSpec
from arbench.probability.layouts import Layout
from arbench.testing.causality import influence
from arbench.testing.subject import ConformanceError, NotApplicableError, Subject
from arbench.testing.tiny import TinyEvents

_CELL = 6  # pixels of the picture for one of the event's
_GAP = 4
_LATER = (70, 70, 78)
_OWN = (255, 200, 40)
_BLIND = (200, 40, 40)
_FAINTEST = 90
_NUM_NAMED = 12


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """What the sites of one model see, measured in float64 on a model that has learned a little.

    Attributes:
        layout: of the sites.
        strength: how far the parameters of site t move when site s alone changes, `(T, T)` float64
            at [s, t].
        settings: keyword arguments of the network; what it says nothing of has its default.
        is_small: whether some of them are the small ones of the checks.
    """

    layout: Layout
    strength: Tensor
    settings: Mapping[str, Any]
    is_small: bool

    @property
    def seen(self) -> Tensor:
        """Whether site t sees site s, `(T, T)` boolean at [s, t]."""
        return self.strength > 0

    @property
    def blind_spots(self) -> list[tuple[int, int]]:
        """Pairs (s, t) where t never sees s, though s comes before it; by t, then by s."""
        hidden = (~self.seen).triu(1).T
        return [(s, t) for t, s in hidden.nonzero().tolist()]

    @property
    def leaks(self) -> list[tuple[int, int]]:
        """Pairs (s, t) where t sees s, though it does not come before it."""
        return [(s, t) for s, t in self.seen.tril().nonzero().tolist()]

    def describe(self, model: str) -> str:
        """Lines of text: of which network it is, how many pairs there are, and which are blind.

        Args:
            model: its name.
        """
        named = ", ".join(f"{key}={value}" for key, value in self.settings.items())
        num_sites = self.layout.num_sites
        num_pairs = num_sites * (num_sites - 1) // 2
        blind = self.blind_spots
        lines = [
            f"{model} with {named or 'its default settings'}: "
            f"{num_sites} sites of {self.layout.spec.shape}; of {num_pairs:,} pairs of an earlier "
            f"and a later site {num_pairs - len(blind):,} are seen, {len(blind):,} are blind spots"
        ]
        if self.leaks:
            s, t = self.leaks[0]
            lines.append(
                f"LEAKS: {len(self.leaks):,} pairs are seen that must not be, site {t} sees "
                f"{'itself' if s == t else s}"
            )
        by_site: dict[int, list[int]] = {}
        for s, t in blind:
            by_site.setdefault(t, []).append(s)
        for t, hidden in list(by_site.items())[:_NUM_NAMED]:
            named = ", ".join(self._place(s) for s in hidden[:_NUM_NAMED])
            more = f" and {len(hidden) - _NUM_NAMED} more" if len(hidden) > _NUM_NAMED else ""
            lines.append(f"  {self._place(t)} never sees {named}{more}")
        if len(by_site) > _NUM_NAMED:
            lines.append(f"  and {len(by_site) - _NUM_NAMED} more sites have blind spots")
        if self.is_small:
            lines.append("This is a small network; --set KEY=VALUE draws another.")
        return "\n".join(lines)

    def draw(self) -> Image.Image:
        """A small image for every site, where that site lies in the event.

        Yellow is the site itself, grey to white what it sees, the brighter the more; red is
        earlier, but not seen; dark is later. Channels stand side by side.

        Raises:
            ValueError: if events are not images.
        """
        if len(self.layout.spec.shape) != 3:
            raise ValueError(f"draws images, not events of shape {self.layout.spec.shape}")
        channels, height, width = self.layout.spec.shape
        places = self._pixels()
        tile_width, tile_height = width * channels, height
        canvas = torch.full(
            (
                height * (tile_height * _CELL + _GAP) + _GAP,
                tile_width * (tile_width * _CELL + _GAP) + _GAP,
                3,
            ),
            255,
            dtype=torch.uint8,
        )
        for t, (row, column) in enumerate(places):
            tile = torch.tensor(_LATER, dtype=torch.uint8).repeat(tile_height, tile_width, 1)
            for s, (there, across) in enumerate(places[: t + 1]):
                tile[there, across] = self._colour(s, t)
            large = tile.repeat_interleave(_CELL, 0).repeat_interleave(_CELL, 1)
            top = _GAP + row * (tile_height * _CELL + _GAP)
            left = _GAP + column * (tile_width * _CELL + _GAP)
            canvas[top : top + large.shape[0], left : left + large.shape[1]] = large
        return Image.fromarray(canvas.numpy())

    def _colour(self, s: int, t: int) -> Tensor:
        if s == t:
            return torch.tensor(_OWN, dtype=torch.uint8)
        if not self.seen[s, t]:
            return torch.tensor(_BLIND, dtype=torch.uint8)
        share = (self.strength[s, t] / self.strength[:t, t].max()).sqrt().item()
        return torch.full((3,), round(_FAINTEST + (255 - _FAINTEST) * share), dtype=torch.uint8)

    def _pixels(self) -> list[tuple[int, int]]:
        """Row and column of each site, channels of a pixel side by side."""
        channels = self.layout.spec.shape[0]
        return [
            (row, column * channels + (channel[0] if channel else 0))
            for row, column, *channel in self.layout.coordinates.tolist()
        ]

    def _place(self, site: int) -> str:
        """Such as "(0, 4)": row and column, and the channel if there are several."""
        place = self.layout.coordinates[site].tolist()
        grey = len(self.layout.spec.shape) == 3 and self.layout.spec.shape[0] == 1
        return f"site {site}" if len(place) == 1 else str(tuple(place[:2] if grey else place))


def receptive_field(
    network_class: Callable[..., nn.Module],
    shape: tuple[int, ...],
    num_values: int,
    *,
    hyperparameters: Mapping[str, Any] | None = None,
    advance: Callable[[float], object] = lambda fraction: None,
) -> ReceptiveField:
    """The receptive field of a network on discrete events in the raster scan.

    Every value of every site is tried in turn, in a few dozen contexts: for D dims and K values
    `D * K` forward passes, so events should have at most some hundreds of dims.

    Args:
        network_class: what a plugin registers; made small by its `tiny_hyperparameters`.
        shape: of an event, `(C, H, W)` or `(D,)`.
        num_values: K.
        hyperparameters: keyword arguments, over `tiny_hyperparameters`.
        advance: called with the share of the work that is done.

    Raises:
        ConformanceError: if the network refuses such events.
    """
    tiny = TinyEvents(EventSpec(shape, Discrete(num_values)))
    given = hyperparameters or {}
    subject = Subject(network_class, tiny, hyperparameters=given)
    settings = {**getattr(network_class, "tiny_hyperparameters", {}), **given}
    try:
        layout, strength = subject.layout, influence(subject, advance)
    except NotApplicableError as error:
        raise ConformanceError(
            f"the network refuses events of shape {shape} with {num_values} values: {error}"
        ) from error
    return ReceptiveField(layout, strength, settings, bool(settings.keys() - given.keys()))
