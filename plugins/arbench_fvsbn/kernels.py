"""Weights that pairs of sites share when they lie alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class OffsetKernels(nn.Module):
    """`w(t, s) = sum_m phi_m(t) K_m(t - s)`: kernels over offsets that vary smoothly in space.

    Each phi_m is a tent, the product over the axes of a piecewise linear bump at one point of a
    grid; those of one grid sum to 1 everywhere. A grid of one point makes one kernel for all
    sites, as in a convolution; finer grids let the kernel change from place to place.

    Args:
        coordinates: `(T, A)` int64, where each site lies.
        offsets: `(N, A)` int64, later minus earlier, for every pair of sites.
        later: `(N,)` int64, the later site of every pair.
        grids: points per axis of each grid; an axis shorter than that gets one point per place.
        reach: distance over which a kernel's scale falls to 1/e.
        block: numbers per pair.

    Raises:
        ValueError: if a grid has no point, or the reach is not positive.
    """

    def __init__(
        self,
        coordinates: Tensor,
        offsets: Tensor,
        later: Tensor,
        grids: Sequence[int],
        reach: float,
        block: int,
    ) -> None:
        super().__init__()
        if any(grid < 1 for grid in grids):
            raise ValueError(f"a kernel grid has at least 1 point per axis, got {list(grids)}")
        if not reach > 0:
            raise ValueError(f"kernel_range is positive, got {reach}")
        distinct, which = torch.unique(offsets, dim=0, return_inverse=True)
        places = torch.cat([tents(coordinates, grid) for grid in grids], dim=1)
        scale = (-distinct.double().norm(dim=-1) / reach).exp().float()
        self.places: Tensor
        self.scale: Tensor
        self.cells: Tensor
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("scale", scale.unsqueeze(-1), persistent=False)
        self.register_buffer("cells", later * len(distinct) + which, persistent=False)
        self.weight = nn.Parameter(torch.zeros(places.shape[1], len(distinct), block))

    def forward(self) -> Tensor:
        """The shared weight of every pair, `(N, block)`."""
        scaled = (self.weight * self.scale).flatten(1)
        everywhere = (self.places @ scaled).view(-1, self.weight.shape[-1])
        return everywhere.index_select(0, self.cells)


def tents(coordinates: Tensor, grid: int) -> Tensor:
    """Weights `(T, M)` of M grid points at each place, by linear interpolation; rows sum to 1.

    Args:
        coordinates: `(T, A)` int64, from 0 on each axis.
        grid: points per axis, from one end to the other; 1 is constant.
    """
    weights = torch.ones(len(coordinates), 1)
    for axis in coordinates.T:
        length = int(axis.max()) + 1
        num_points = min(grid, length)
        if num_points == 1:
            continue
        position = axis * ((num_points - 1) / (length - 1))
        bumps = (1 - (position[:, None] - torch.arange(num_points)).abs()).clamp(min=0)
        weights = (weights[:, :, None] * bumps[:, None, :]).flatten(1)
    return weights
