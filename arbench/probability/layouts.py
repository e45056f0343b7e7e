"""`Layout`: the order of sites, and events to sites and back.

A site is what one sampling step draws. The layout alone converts events to sites and back, and
it alone holds the ordering; networks and heads never see an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from arbench.probability.events import Discrete, Domain, EventSpec, Mixed, Real
from arbench.probability.randomness import random_order


class Layout:
    """T sites of `site_dim` dims each, in the order in which a model draws them.

    Sites have a *canonical* numbering, that of the raster scan: image rows from top to bottom,
    columns from left to right, colour channels innermost; sequences and table rows from first to
    last. An ordering is a permutation of it: site `t` of the layout is canonical site
    `permutation[t]`.

    Args:
        spec: shape and domain of the events.
        order: the permutation, T canonical numbers; None is the raster scan.
        sites: "dim" draws one scalar at a time, "pixel" all channels of a pixel at once (the
            head then owns the dependence between them).

    Attributes:
        spec: as given.
        domain: what the dims may be; of a mixed one, its dims in the layout's order.
        sites: as given.
        num_sites: T.
        site_dim: C, dims per site; `num_sites * site_dim == spec.num_dims`.
        is_raster: whether the order is the raster scan.

    Tensors that describe the layout are always on the CPU, also while a network is being built
    under another default device ("meta" to read off its shapes, for instance).
    """

    def __init__(
        self,
        spec: EventSpec,
        *,
        order: Sequence[int] | None = None,
        sites: Literal["dim", "pixel"] = "dim",
    ) -> None:
        if sites not in ("dim", "pixel"):
            raise ValueError(f"sites is 'dim' or 'pixel', got {sites!r}")
        if sites == "pixel" and len(spec.shape) != 3:
            raise ValueError(f"sites='pixel' needs images of shape (C, H, W), got {spec.shape}")
        self.spec = spec
        self.sites = sites
        self.site_dim = spec.shape[0] if sites == "pixel" else 1
        self.num_sites = spec.num_dims // self.site_dim
        raster = torch.arange(self.num_sites, device="cpu")
        self._permutation = raster if order is None else torch.as_tensor(list(order), device="cpu")
        if not torch.equal(self._permutation.sort().values, raster):
            raise ValueError(f"an order names each of the {self.num_sites} sites exactly once")
        self.is_raster = torch.equal(self._permutation, raster)
        self._inverse = self._permutation.argsort()
        self.domain: Domain = spec.domain
        if isinstance(spec.domain, Mixed):
            self.domain = Mixed(tuple(spec.domain.dims[dim] for dim in self._permutation.tolist()))

    @classmethod
    def permuted(
        cls, spec: EventSpec, seed: int, *, sites: Literal["dim", "pixel"] = "dim"
    ) -> Layout:
        """A layout in a uniformly random order that depends on `seed` alone."""
        num_sites = cls(spec, sites=sites).num_sites
        return cls(spec, order=random_order(num_sites, seed).tolist(), sites=sites)

    @property
    def permutation(self) -> Tensor:
        """Canonical number of every site, `(T,)` int64."""
        return self._permutation

    def domain_of(self, site: int) -> Discrete | Real:
        """What the dims of a site may be, by its number in this order."""
        return self.domain.dims[site] if isinstance(self.domain, Mixed) else self.domain

    @property
    def alphabet_size(self) -> int:
        """K, the number of values of a discrete dim.

        Raises:
            ValueError: if the domain is real or mixed.
        """
        if not isinstance(self.domain, Discrete):
            raise ValueError(f"needs discrete data, but the domain is {self.domain}")
        return self.domain.size

    @property
    def grid(self) -> tuple[int, ...] | None:
        """Shape of the sites as a raster; None when the order is not the raster scan.

        `(H, W, C)` for images by dim, `(H, W)` by pixel, `(T,)` otherwise.
        """
        return self._grid if self.is_raster else None

    @property
    def _grid(self) -> tuple[int, ...]:
        if len(self.spec.shape) == 1:
            return self.spec.shape
        channels, height, width = self.spec.shape
        return (height, width) if self.sites == "pixel" else (height, width, channels)

    @property
    def coordinates(self) -> Tensor:
        """Where each site lies in the event, whatever the order: `(T, axes)` int64.

        The axes are (row, column, channel) for images by dim, (row, column) by pixel, and (index,)
        otherwise.
        """
        axes = torch.unravel_index(self._permutation, self._grid)
        return torch.stack(axes, dim=-1)

    def to_sites(self, events: Tensor) -> Tensor:
        """The sites of a batch of events.

        Args:
            events: `(B, *event_shape)`, any dtype.

        Returns:
            `(B, T, site_dim)`, same dtype.

        Raises:
            ValueError: if the shape is not that of the spec.
        """
        if tuple(events.shape[1:]) != self.spec.shape:
            raise ValueError(
                f"expected events of shape (B, {', '.join(map(str, self.spec.shape))}), "
                f"got {tuple(events.shape)}"
            )
        if len(self.spec.shape) == 3:
            events = events.permute(0, 2, 3, 1)
        sites = events.reshape(events.shape[0], self.num_sites, self.site_dim)
        return sites if self.is_raster else sites[:, self._permutation.to(sites.device)]

    def to_events(self, sites: Tensor) -> Tensor:
        """The events of a batch of sites; the inverse of `to_sites`.

        Args:
            sites: `(B, T, site_dim)`, any dtype.

        Returns:
            `(B, *event_shape)`, same dtype, contiguous.
        """
        if not self.is_raster:
            sites = sites[:, self._inverse.to(sites.device)]
        if len(self.spec.shape) == 1:
            return sites.reshape(sites.shape[0], *self.spec.shape)
        channels, height, width = self.spec.shape
        return sites.reshape(-1, height, width, channels).permute(0, 3, 1, 2).contiguous()

    def scored_sites(self, scored: Tensor) -> Tensor:
        """Which sites of a batch of events are scored.

        What is not scored is fed to later sites all the same. Where it lies before them in the
        raster scan, it is what has gone before, as in the windows of a stream. Where it lies
        behind, it is padding, and shows when the event ends: in another order a site may come
        after it and before the end, and what such sites say of all events does not sum to 1.

        Args:
            scored: `(B, *event_shape)` boolean.

        Returns:
            `(B, T)` boolean.

        Raises:
            ValueError: if a site is scored in part, which would make the count of dims a lie, or a
                scored one reads padding.
        """
        by_site = self.to_sites(scored)
        counted = by_site.all(-1)
        if self.site_dim > 1 and not torch.equal(counted, by_site.any(-1)):
            raise ValueError("a site is scored as a whole: all of its dims or none")
        if not self.is_raster:
            place = self._permutation.to(counted.device)
            # How far back in the raster scan the sites lie that are read and not scored.
            furthest = torch.where(counted, -1, place).cummax(1).values
            misread = counted & (furthest > place)
            if bool(misread.any()):
                event, site = misread.nonzero()[0].tolist()
                raise ValueError(
                    f"event {event} has no likelihood in this order: site {site} is scored and "
                    "reads dims that are not, such as those after the end of an event; events that "
                    "differ in length need the raster scan"
                )
        return counted

    def prefix_length(self, known: Tensor) -> int:
        """How many leading sites a set of known dims covers.

        Args:
            known: `event_shape` boolean, True where a value is given.

        Raises:
            ValueError: if the known dims are not a prefix in this layout's order, so that
                conditioning on them exactly would need a sum over the unknown ones before them.
        """
        by_site = self.to_sites(known.bool().unsqueeze(0))[0]
        full = by_site.all(-1)
        length = int(full.to(torch.int64).cumprod(0).sum())
        if bool(by_site[length:].any()):
            where = self.coordinates[length].tolist()
            raise ValueError(
                "the given dims are not a prefix in the model's order: the first unknown site is "
                f"number {length}, at {tuple(where)}, yet later sites are given; give only sites "
                "that come before it, or take a model that answers for any order"
            )
        return length

    def known_first(self, known: Tensor) -> Layout:
        """The order in which the known dims are a prefix; within both parts it is this order.

        Args:
            known: `event_shape` boolean, True where a value is given.

        Raises:
            ValueError: if a site is known in part; what draws whole pixels cannot draw the rest.
        """
        by_site = self.to_sites(known.bool().cpu().unsqueeze(0))[0]
        full = by_site.all(-1)
        if not torch.equal(full, by_site.any(-1)):
            where = self.coordinates[int((full != by_site.any(-1)).nonzero()[0])].tolist()
            raise ValueError(
                f"the pixel at {tuple(where)} is given in part, and all channels of a pixel are "
                "drawn at once; give all of them or none"
            )
        order = self._permutation[full.logical_not().long().argsort(stable=True)]
        return Layout(self.spec, order=order.tolist(), sites=self.sites)

    def __repr__(self) -> str:
        order = "raster" if self.is_raster else "permuted"
        return f"Layout({self.spec.shape}, sites={self.sites!r}, T={self.num_sites}, {order})"
