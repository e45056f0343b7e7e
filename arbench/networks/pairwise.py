"""One weight for each pair of sites, with a prior that favours near ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from arbench.probability.layouts import Layout

_MAX_WEIGHTS = 1 << 28


class PairwiseWeights(nn.Module):
    """A strictly triangular matrix: what every earlier site says to every later one, linearly.

    `W_ts = |t - s|^-locality R_ts + sum_m phi_m(t) K_m(t - s)`, where `t - s` is the difference of
    two sites' coordinates and `|.|` its Euclidean length, at least 1. The first term is one number
    per pair; the second, present with `kernel_grids`, is shared between pairs that lie alike; see
    `OffsetKernels`. Whatever these options, W is any strictly triangular matrix: they are a prior.
    A small step or a decay on R is a large or small belief in W_ts according to the distance, and a
    kernel learns from every place at once. All weights start at 0.

    Args:
        layout: any order.
        num_params: P, rows per later site.
        num_features: F, columns per earlier site.
        locality: exponent by which a pair's own weight is scaled down with distance; 0 is none.
        kernel_grids: for each entry g, kernels that vary over a grid of g points along each axis
            of the event, interpolated linearly; 1 is a kernel that is the same everywhere.
        kernel_range: distance at which the kernels' scale has fallen to 1/e.

    Raises:
        ValueError: if an argument is not one of these, or there are too many weights.
    """

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        num_features: int,
        *,
        locality: float,
        kernel_grids: Sequence[int] | None,
        kernel_range: float,
    ) -> None:
        super().__init__()
        if locality < 0:
            raise ValueError(f"locality is at least 0, got {locality}")
        if not kernel_range > 0:
            raise ValueError(f"kernel_range is positive, got {kernel_range}")
        self.num_sites = num_sites = layout.num_sites
        self.num_params = num_params
        self.num_features = num_features
        block = num_params * num_features
        if num_sites**2 * block > _MAX_WEIGHTS:
            raise ValueError(
                f"one matrix for {num_sites} sites with {block} numbers per pair has "
                f"{num_sites**2 * block:.3g} entries, more than {_MAX_WEIGHTS:.3g}; it is for "
                "smaller events or alphabets"
            )
        # Before the tables of all pairs: what limits the number of weights limits these too.
        self.weight = nn.Parameter(torch.zeros(num_sites * (num_sites - 1) // 2, block))
        later, earlier = torch.tril_indices(num_sites, num_sites, offset=-1, device="cpu")
        offsets = layout.coordinates[later] - layout.coordinates[earlier]
        scale = offsets.double().norm(dim=-1).clamp(min=1).pow(-locality).float()
        # Neither is state: both follow from the layout.
        self.places: Tensor
        self.scale: Tensor
        self.register_buffer("places", later * num_sites + earlier, persistent=False)
        self.register_buffer("scale", scale.unsqueeze(-1), persistent=False)
        self.kernels = (
            OffsetKernels(layout.coordinates, offsets, later, kernel_grids, kernel_range, block)
            if kernel_grids and num_sites > 1
            else None
        )

    def of_pairs(self) -> Tensor:
        """The numbers of every pair, `(T (T - 1) / 2, P * F)`, those of the first sites first."""
        pairs = self.weight * self.scale
        return pairs if self.kernels is None else pairs + self.kernels()

    def forward(self) -> Tensor:
        """W written out, `(T * P, T * F)`: 0 unless the row's site is later than the column's."""
        pairs, size = self.of_pairs(), self.num_sites
        # Writing the pairs into zeros, instead of masking a full matrix, leaves nothing to mask.
        square = pairs.new_zeros(size * size, pairs.shape[-1]).index_copy(0, self.places, pairs)
        blocks = square.view(size, size, self.num_params, self.num_features)
        return blocks.transpose(1, 2).reshape(size * self.num_params, size * self.num_features)


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
        reach: distance over which a kernel's scale falls to 1/e, positive.
        block: numbers per pair.

    Raises:
        ValueError: if a grid has no point.
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
    weights = torch.ones(len(coordinates), 1, device="cpu")
    for axis in coordinates.T:
        length = int(axis.max()) + 1
        num_points = min(grid, length)
        if num_points == 1:
            continue
        position = axis * ((num_points - 1) / (length - 1))
        bumps = (1 - (position[:, None] - torch.arange(num_points, device="cpu")).abs()).clamp(
            min=0
        )
        weights = (weights[:, :, None] * bumps[:, None, :]).flatten(1)
    return weights
