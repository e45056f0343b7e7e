"""RNADE: real values enter one hidden layer whose weights all conditionals share."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from arbench import Layout, Real
from arbench.networks.site_features import SiteFeatures
from arbench_rnade.state import RNADEState

Activation = Literal["relu", "sigmoid"]

# Scale of the initial readout weights: small, so that parameters start near zero at every site.
_READOUT_SCALE = 0.1


class RNADE(nn.Module):
    """The real-valued neural autoregressive density estimator.

    Site t has hidden units `h_t = act(r_t a_t)` with `a_t = c + sum_{s < t} x_s W_s`, and
    parameters `b_t + U_t h_t`, from which a head for real dims makes a density. All conditionals
    of an event cost O(T H P), and so does sampling one.

    Source: Uria, Murray and Larochelle, "RNADE: the real-valued neural autoregressive
    density-estimator", NeurIPS 2013, section 3; Uria, Cote, Gregor, Murray and Larochelle, "Neural
    autoregressive distribution estimation", JMLR 2016, section 3. Deviations: in a mixed table a
    discrete value of more than two enters as a one-hot vector, and W_s has a row for each; the
    README says what differs in training.

    Args:
        layout: real dims, or some real ones among the dims of a mixed table, drawn one at a time;
            real values should be of about unit size.
        num_params: P, parameters per site.
        hidden: H, hidden units per conditional.
        activation: "relu" or "sigmoid".
        rescale: whether every site has its own factor r_t on the pre-activation; without it the
            pre-activation grows with the number of earlier sites.

    Raises:
        ValueError: if the layout or an argument is not one of these.
    """

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        hidden: int = 100,
        activation: Activation = "relu",
        rescale: bool = True,
    ) -> None:
        super().__init__()
        has_real = any(isinstance(domain, Real) for domain in layout.spec.dim_domains)
        if not has_real or layout.site_dim != 1:
            raise ValueError(
                "RNADE needs real dims drawn one at a time, but the data are "
                f"{layout.domain} with {layout.site_dim} dims per site; use nade for discrete data"
            )
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        if activation not in ("relu", "sigmoid"):
            raise ValueError(f"activation must be 'relu' or 'sigmoid', got {activation!r}")
        self.num_sites = num_sites = layout.num_sites
        self.activation: Activation = activation
        # No later site reads the last one.
        self.inputs = SiteFeatures(layout)
        self.weight = nn.Parameter(torch.empty((num_sites - 1) * self.inputs.width, hidden))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.rescaling = nn.Parameter(torch.ones(num_sites, 1)) if rescale else None
        self.readout = nn.Parameter(torch.empty(num_sites, hidden, num_params))
        self.readout_bias = nn.Parameter(torch.zeros(num_sites, num_params))
        nn.init.normal_(self.weight, std=num_sites**-0.5)
        nn.init.normal_(self.readout, std=_READOUT_SCALE * hidden**-0.5)

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site.

        Args:
            sites: `(B, T, 1)` floating point.

        Returns:
            `(B, T, P)` in the dtype of the weights.
        """
        first = self.bias.expand(len(sites), 1, -1)
        told = self.inputs(sites, sites.dtype)[:, :-1]
        if self.inputs.width == 1:
            added = told * self.weight
        else:
            added = torch.einsum("btf,tfh->bth", told, self._by_site(self.weight))
        pre = torch.cat((first, added), 1).cumsum(1)
        if self.rescaling is not None:
            pre = pre * self.rescaling
        hidden = self._activate(pre)
        return torch.einsum("bth,thp->btp", hidden, self.readout) + self.readout_bias

    def features(self, sites: Tensor) -> Tensor:
        """The hidden units of the last site, `(B, H)`, which have read every value but its own.

        See `FeatureNetwork`.
        """
        told = self.inputs(sites, sites.dtype)[:, :-1]
        pre = self.bias + told.flatten(1) @ self.weight
        return self._activate(pre if self.rescaling is None else pre * self.rescaling[-1])

    def init_state(self, batch_size: int) -> RNADEState:
        """The pre-activation before the first site, and the weights cut into sites."""
        return RNADEState(
            pre=self.bias.detach().repeat(batch_size, 1),
            weight=self._by_site(self.weight.detach()).unbind(),
            readout=self.readout.detach().unbind(),
            readout_bias=self.readout_bias.detach().unbind(),
            rescaling=() if self.rescaling is None else self.rescaling.detach().unbind(),
        )

    def step(
        self, state: RNADEState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, RNADEState]:
        """Parameters `(B, P)` of one site from the value before, `(B, 1)`; O(H P) per event.

        `state` is updated in place.
        """
        pre = state.pre
        if previous is not None:
            told = self.inputs.at(previous, site - 1, pre.dtype)
            if self.inputs.width == 1:
                pre.addcmul_(told, state.weight[site - 1])
            else:
                pre.addmm_(told, state.weight[site - 1])
        scaled = pre * state.rescaling[site] if state.rescaling else pre
        hidden = self._activate(scaled)
        return torch.addmm(state.readout_bias[site], hidden, state.readout[site]), state

    def _by_site(self, weight: Tensor) -> Tensor:
        """The weights that read each site but the last, `(T - 1, F, H)`."""
        return weight.view(self.num_sites - 1, self.inputs.width, -1)

    def _activate(self, pre: Tensor) -> Tensor:
        return pre.relu() if self.activation == "relu" else pre.sigmoid()

    def extra_repr(self) -> str:
        """What `print` shows beside the class name."""
        num_sites, hidden, num_params = self.readout.shape
        return f"T={num_sites}, P={num_params}, hidden={hidden}"
