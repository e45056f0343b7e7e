"""FVSBN: a logistic regression per site; one product with a triangular matrix does them all."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout, NativeStep
from arbench.networks.pairwise import PairwiseWeights
from arbench_fvsbn.state import FVSBNState


class FVSBN(nn.Module):
    """The fully visible sigmoid belief network: `params_t = b_t + sum_{s < t} W_ts f(x_s)`.

    A binary value is one feature (F = 1), `f(x) = x - 1/2`. A value of a larger alphabet is F = K
    features, `f(x)_v = [x = v] - 1/K`. Centring moves a constant into b. It changes how fast the
    weights learn, but not the family of distributions. For n binary dims there are n biases and
    n (n - 1) / 2 weights, together `n (n + 1) / 2` free parameters.

    W is a `PairwiseWeights`. Its options are a prior that knows which sites are near; they do not
    change the family of distributions either.

    Source: Frey, "Graphical models for machine learning and digital communication", MIT Press,
    1998; Gan, Henao, Carlson and Carin, "Learning deep sigmoid belief networks with data
    augmentation", AISTATS 2015, where it is the baseline. Deviations: maximum a posteriori by
    gradients instead of a sampler, the centring, the prior above, larger alphabets.

    Args:
        layout: discrete dims, drawn one at a time.
        num_params: P, parameters per site.
        locality: exponent by which a pair's own weight is scaled down with distance; 0 is none.
        kernel_grids: for each entry g, kernels that vary over a grid of g points along each axis
            of the event, interpolated linearly; with 1 the kernel is the same everywhere.
        kernel_range: distance at which the scale of the kernels has fallen to 1/e.

    Raises:
        ValueError: if the layout or an argument is not one of these, or there are too many weights.
    """

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        locality: float = 0.0,
        kernel_grids: list[int] | None = None,
        kernel_range: float = 8.0,
    ) -> None:
        super().__init__()
        if layout.site_dim != 1:
            raise ValueError(
                f"FVSBN draws one dim at a time, but a site has {layout.site_dim}; use sites='dim'"
            )
        self.alphabet_size = layout.alphabet_size
        self.num_features = 1 if self.alphabet_size == 2 else self.alphabet_size
        self.num_sites = layout.num_sites
        self.num_params = num_params
        self.pairs = PairwiseWeights(
            layout,
            num_params,
            self.num_features,
            locality=locality,
            kernel_grids=kernel_grids,
            kernel_range=kernel_range,
        )
        self.bias = nn.Parameter(torch.zeros(self.num_sites, num_params))

    @property
    def num_free_parameters(self) -> int:
        """Biases and weights between pairs of sites: `n (n + 1) / 2` for n binary dims.

        Kernels add parameters to training, but none to the trained matrix.
        """
        return self.bias.numel() + self.pairs.weight.numel()

    def forward(self, sites: Tensor) -> Tensor:
        """The parameters `(B, T, P)` of all sites; sites are `(B, T, 1)` int64."""
        features = self._features(sites.squeeze(-1)).flatten(1)
        params = F.linear(features, self.pairs(), self.bias.flatten())
        return params.view(-1, self.num_sites, self.num_params)

    @torch.no_grad()
    def init_state(self, batch_size: int) -> FVSBNState:
        """The matrix, written out once, and room for the features of a batch."""
        matrix = self.pairs()
        return FVSBNState(matrix, matrix.new_zeros(batch_size, matrix.shape[1]))

    @torch.no_grad()
    def step(
        self, state: FVSBNState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, FVSBNState]:
        """Parameters `(B, P)` of a site: its rows of W times the features, O(T) per event."""
        matrix, features = state
        known = site * self.num_features
        if previous is not None:
            features[:, known - self.num_features : known] = self._features(previous[:, 0])
        rows = slice(site * self.num_params, (site + 1) * self.num_params)
        return F.linear(features[:, :known], matrix[rows, :known], self.bias[site]), state

    @torch.no_grad()
    def native_step(self, batch_size: int) -> NativeStep:
        """See `NativeSteppingNetwork`."""
        from arbench_fvsbn.native import step

        pairs = self.pairs.of_pairs().view(-1, self.num_params, self.num_features)
        features = (self.num_sites, self.num_features)
        return NativeStep(step, (pairs, self.bias, self.alphabet_size), (features,), 8)

    def _features(self, values: Tensor) -> Tensor:
        """Centred features `(..., F)` of values `(...)` int64."""
        if self.alphabet_size == 2:
            return values.unsqueeze(-1).to(self.bias.dtype) - 0.5
        return F.one_hot(values, self.alphabet_size).to(self.bias.dtype) - 1 / self.alphabet_size
