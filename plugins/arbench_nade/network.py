"""NADE: one hidden layer whose weights all conditionals share, or own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout, NativeStep, Real
from arbench.networks.dropout import unit_dropout
from arbench.networks.native import numba_is_there
from arbench.networks.site_features import SiteFeatures
from arbench_nade.kernel import Activation, activate, all_sites
from arbench_nade.state import NADEState

if TYPE_CHECKING:
    from arbench.networks.pairwise import PairwiseWeights


# Below, Numba's start takes longer than it saves.
MANY_WEIGHTS = 1 << 16


class NADE(nn.Module):
    """The neural autoregressive distribution estimator.

    Site t has hidden units `h_t = act(c + sum_{s < t} V_s x_s)` and parameters `b_t + U_t h_t`.
    Tied, all sites share V and c: `T (F + P) H` weights and O(T H) work for all conditionals of an
    event. Untied, site t owns its `V^(t)_s`, s < t, and its `c^(t)`: `T (T - 1) / 2 F H` weights,
    and that many multiplications per event.

    Binary values enter as 0 and 1 (F = 1), values of a larger alphabet as one-hot vectors (F = K).
    The dims of a mixed table all have the F of the largest alphabet; real ones enter as they are.

    Source: Larochelle and Murray, "The neural autoregressive distribution estimator", AISTATS
    2011; Uria, Cote, Gregor, Murray and Larochelle, "Neural autoregressive distribution
    estimation", JMLR 2016, section 2. Deviations: ReLU by default, dropout, larger alphabets and
    mixed tables.

    Args:
        layout: discrete or mixed dims, drawn one at a time.
        num_params: P, parameters per site.
        hidden: H, hidden units per conditional.
        tied: whether the conditionals share the weights into the hidden units.
        activation: "relu" or "sigmoid" (the paper's).
        dropout: probability that a hidden unit is silent, for a whole training batch and at all
            sites of it; the others are scaled up.
        input_dropout: probability that later sites of a training event are told 0 instead of a
            value; the others are scaled up.
        readout_scale: factor on the first readout weights; a small one starts every site near its
            bias, so that what little data does not determine stays near independence.
        direct: whether earlier values also reach the parameters straight, through a strictly
            triangular matrix, as in MADE (Germain et al., ICML 2015). Not in the paper.
        locality: of the direct weights, with the next two; see `PairwiseWeights`.
        kernel_grids: as there.
        kernel_range: as there.

    Attributes:
        forward_kernel: how tied sites are computed: "blocks" in products of matrices, "compiled" in
            one loop, by large networks where Numba is installed; see `KernelNetwork`.

    Raises:
        ValueError: if the layout or an argument is not one of these.
    """

    # The products of a block have a row for every distinct state of its events' hidden units, and
    # how a product rounds may depend on how many rows it has.
    reordered_sums = True

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        hidden: int = 500,
        tied: bool = True,
        activation: Activation = "relu",
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        readout_scale: float = 1.0,
        direct: bool = False,
        locality: float = 0.0,
        kernel_grids: list[int] | None = None,
        kernel_range: float = 8.0,
    ) -> None:
        super().__init__()
        if layout.site_dim != 1:
            raise ValueError(f"NADE draws one dim at a time, not {layout.site_dim}; use sites=dim")
        if hidden < 1:
            raise ValueError(f"hidden is at least 1, got {hidden}")
        if activation not in ("relu", "sigmoid"):
            raise ValueError(f"activation is 'relu' or 'sigmoid', got {activation!r}")
        if not (0 <= dropout < 1 and 0 <= input_dropout < 1):
            got = f"dropout={dropout}, input_dropout={input_dropout}"
            raise ValueError(f"dropout rates lie in [0, 1), got {got}")
        if readout_scale <= 0:
            raise ValueError(f"readout_scale is above 0, got {readout_scale}")
        if not direct and (locality or kernel_grids):
            raise ValueError("locality and kernel_grids are of the direct weights: set direct=true")
        if isinstance(layout.domain, Real):
            raise ValueError("NADE needs discrete dims, and these are real; use rnade")
        self.inputs = SiteFeatures(layout)
        self.num_features = self.inputs.width
        self.num_sites = num_sites = layout.num_sites
        self.tied = tied
        self.activation: Activation = activation
        self.dropout, self.input_dropout = dropout, input_dropout
        num_inputs = num_sites if tied else num_sites * (num_sites - 1) // 2
        self.weight = nn.Parameter(torch.empty(num_inputs, self.num_features, hidden))
        self.bias = nn.Parameter(torch.zeros(hidden) if tied else torch.zeros(num_sites, hidden))
        self.readout = nn.Parameter(torch.empty(num_sites, num_params, hidden))
        self.readout_bias = nn.Parameter(torch.zeros(num_sites, num_params))
        self.pairs: PairwiseWeights | None = None
        if direct:
            from arbench.networks.pairwise import PairwiseWeights

            self.pairs = PairwiseWeights(
                layout,
                num_params,
                self.num_features,
                locality=locality,
                kernel_grids=kernel_grids,
                kernel_range=kernel_range,
            )
        may_compile = tied and activation == "relu" and numba_is_there()
        self.forward_kernels = ("blocks", "compiled") if may_compile else ("blocks",)
        self.forward_kernel = self.forward_kernels[-1 if self.weight.numel() >= MANY_WEIGHTS else 0]
        nn.init.normal_(self.weight, std=num_sites**-0.5)
        nn.init.normal_(self.readout, std=readout_scale * hidden**-0.5)

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site.

        Args:
            sites: `(B, T, 1)` int64 in [0, K), or floating point for mixed data.

        Returns:
            `(B, T, P)` float32 (float64 for float64 weights), under autocast too.
        """
        with torch.autocast(sites.device.type, enabled=False):
            dtype = torch.promote_types(self.weight.dtype, torch.float32)
            weight, bias, readout, readout_bias = (
                own.to(dtype) for own in (self.weight, self.bias, self.readout, self.readout_bias)
            )
            features = told = self.inputs(sites, dtype)
            if self.training and self.input_dropout:
                features = unit_dropout(told, self.input_dropout, True)
            if self.training and self.dropout:
                readout = readout * unit_dropout(
                    readout.new_ones(readout.shape[-1]), self.dropout, True
                )
            params: Tensor
            if self.forward_kernel == "compiled" and sites.device.type == "cpu":
                from arbench_nade.compiled import all_sites_compiled

                params = all_sites_compiled(features, weight, bias, readout, readout_bias)
            else:
                evaluate = all_sites if self.tied else self._untied
                params = evaluate(features, weight, bias, readout, readout_bias, self.activation)
            if self.pairs is not None:
                heard = F.linear(told.flatten(1), self.pairs().to(dtype))
                params = params + heard.view_as(params)
            return params

    def features(self, sites: Tensor) -> Tensor:
        """The last hidden units, `(B, H)`; see `FeatureNetwork`.

        Tied ones as one more site behind the last would have them: they have read every value.
        Untied they are those of the last site, which have read all values but its own.
        """
        width = self.num_features
        told = self.inputs(sites, self.weight.dtype).flatten(1)
        known = self.num_sites - (0 if self.tied else 1)
        bias = self.bias if self.tied else self.bias[-1]
        weight = self.weight[len(self.weight) - known :].flatten(0, 1)
        pre = torch.addmm(bias, told[:, : known * width], weight)
        return activate(pre, self.activation, out=pre)

    def init_state(self, batch_size: int) -> NADEState:
        """Room for one batch, and the weights cut into sites: cutting costs as much as using.

        Untied sites and direct weights read all features; direct weights are written out once,
        here.
        """
        weight, bias = self.weight.detach(), self.bias.detach()
        own = weight.unbind() if self.tied else torch.split(weight, list(range(self.num_sites)))
        if self.tied and self.inputs.is_mixed:
            numbers = self.inputs.is_number
            own = tuple(each[:1] if n else each for each, n in zip(own, numbers, strict=True))
        pre = weight.new_empty((batch_size, weight.shape[-1]))
        if self.tied:
            pre.copy_(bias)
        remembers = not self.tied or self.pairs is not None
        shape = (batch_size, self.num_sites * self.num_features)
        return NADEState(
            weight=tuple(own if self.tied else (each.flatten(0, 1) for each in own)),
            readout=self.readout.detach().transpose(1, 2).unbind(),
            readout_bias=self.readout_bias.detach().unbind(),
            pre=pre,
            hidden=torch.empty_like(pre),
            told=pre.new_empty((batch_size, 1)),
            features=weight.new_zeros(shape) if remembers else None,
            direct=None if self.pairs is None else self.pairs().detach(),
        )

    @torch.no_grad()
    def prefill(self, state: NADEState, sites: Tensor) -> NADEState:
        """The state after the steps of the first sites; see `PrefillingNetwork.prefill`."""
        told = self.inputs(sites, self.weight.dtype)[:, :-1].flatten(1)
        if state.features is not None:
            state.features[:, : told.shape[1]] = told
        if self.tied:
            state.pre.addmm_(told, self.weight[: sites.shape[1] - 1].flatten(0, 1))
        return state

    def step(
        self, state: NADEState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, NADEState]:
        """Parameters `(B, P)` of one site; `state` is updated in place.

        O(H) per event when tied, O(site H) when untied, O(site) more with direct weights.
        `previous` is `(B, 1)`, the value of the site before, None at the first.
        """
        width, known = self.num_features, site * self.num_features
        pre, features, direct = state.pre, state.features, state.direct
        if previous is not None and features is not None:
            told = self.inputs.at(previous, site - 1, features.dtype)
            features[:, known - width : known] = told
        if not self.tied:
            assert features is not None
            bias = self.bias.detach()[site]
            torch.addmm(bias, features[:, :known], state.weight[site], out=pre)
        elif previous is not None and self.inputs.is_number[site - 1]:
            pre.addcmul_(state.told.copy_(previous), state.weight[site - 1])
        elif previous is not None:
            pre.add_(state.weight[site - 1][previous.squeeze(-1).long()])
        hidden = activate(pre, self.activation, out=state.hidden)
        params = torch.addmm(state.readout_bias[site], hidden, state.readout[site])
        if features is not None and direct is not None:
            rows = direct[site * params.shape[1] : (site + 1) * params.shape[1], :known]
            params = params + F.linear(features[:, :known], rows)
        return params, state

    def native_step(self, batch_size: int) -> NativeStep | None:
        """See `NativeSteppingNetwork`; tied and without direct weights."""
        if not self.tied or self.pairs is not None:
            return None
        from arbench.networks.native.tiles import num_together
        from arbench_nade.native import step

        hidden = (self.weight.shape[-1],)
        weights = (
            self.weight,
            self.bias,
            self.readout,
            self.readout_bias,
            self.activation == "relu",
        )
        return NativeStep(step, weights, (hidden, hidden), min(16, num_together(batch_size)))

    def _untied(
        self,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        readout: Tensor,
        readout_bias: Tensor,
        activation: Activation,
    ) -> Tensor:
        flat, width = features.flatten(1), self.num_features
        act = torch.relu if activation == "relu" else torch.sigmoid
        # One split, not T slices: the gradient of each slice would be as large as all weights.
        own = torch.split(weight, list(range(self.num_sites)))
        params = [
            torch.addmm(
                readout_bias[t],
                act(torch.addmm(bias[t], flat[:, : t * width], own[t].flatten(0, 1))),
                readout[t].T,
            )
            for t in range(self.num_sites)
        ]
        return torch.stack(params, dim=1)

    def extra_repr(self) -> str:
        """What `print` shows beside the class name."""
        num_sites, num_params, hidden = self.readout.shape
        return f"T={num_sites}, P={num_params}, hidden={hidden}, tied={self.tied}"
