"""Wrong models and heads as found in the wild, each caught by the check that is meant for it."""

# The contract of each method is that of the class it breaks.

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from arbench.probability.layouts import Layout
from arbench.testing.conformance import Result, checks_for, run_check, subjects
from arbench.testing.subject import ConformanceError
from arbench.testing.tiny import TINY_EVENTS
from arbench.testing.toys import LinearNetwork, SteppingTable, TableNetwork
from arbench_any_order.network import AnyOrder


class MaskOffByOne(LinearNetwork):
    """The mask keeps the diagonal: a site sees its own value."""

    def forward(self, sites: Tensor) -> Tensor:
        own = nn.functional.one_hot(sites[..., 0], self.alphabet_size).to(self.weight.dtype)
        diagonal = self.weight[range(sites.shape[1]), :, range(sites.shape[1])]
        return super().forward(sites) + torch.einsum("btk,tkp->btp", own, diagonal)


class Autoencoder(nn.Module):
    """Rebuilds every value from all values: its product of outputs is no distribution."""

    def __init__(self, layout: Layout, num_params: int) -> None:
        super().__init__()
        self.shape = (layout.num_sites, num_params)
        self.layers = nn.Sequential(
            nn.Linear(layout.num_sites, 8), nn.Tanh(), nn.Linear(8, math.prod(self.shape))
        )

    def forward(self, sites: Tensor) -> Tensor:
        values = sites[..., 0].to(self.layers[0].weight.dtype)
        params: Tensor = self.layers(values).view(-1, *self.shape)
        return params


class SeesTheNextSite(LinearNetwork):
    """The mask leaks one site from the future."""

    def forward(self, sites: Tensor) -> Tensor:
        params = super().forward(sites)
        return torch.cat((params[:, :-1] + 0.1 * sites[:, 1:], params[:, -1:]), 1)


class ReorderedSums(LinearNetwork):
    """What comes from the future is taken away again, up to rounding, as an FFT does."""

    reordered_sums = True

    def forward(self, sites: Tensor) -> Tensor:
        future = 0.1 * sites.flip(1).cumsum(1).flip(1)
        return (super().forward(sites) + future) - future


class UnsaidReorderedSums(ReorderedSums):
    """Does not say so."""

    reordered_sums = False


class DoubleSigmoid(LinearNetwork):
    """Hands probabilities to a head that expects logits."""

    def forward(self, sites: Tensor) -> Tensor:
        return super().forward(sites).sigmoid()


class MaskedInPlace(nn.Module):
    """The mask is applied to the weights once; the optimiser fills the holes again."""

    def __init__(self, layout: Layout, num_params: int) -> None:
        super().__init__()
        self.shape = (layout.num_sites, num_params)
        self.linear = nn.Linear(layout.num_sites, layout.num_sites * num_params)
        mask = torch.ones(layout.num_sites, layout.num_sites).tril(-1)
        self.linear.weight.data.mul_(mask.repeat_interleave(num_params, 0))

    def forward(self, sites: Tensor) -> Tensor:
        flat: Tensor = self.linear(sites[..., 0].to(self.linear.weight.dtype))
        return flat.view(-1, *self.shape)


class UnseededMask(LinearNetwork):
    """A random mask that is neither seeded nor stored with the weights."""

    def __init__(self, layout: Layout, num_params: int) -> None:
        super().__init__(layout, num_params)
        self.mask = (torch.rand(self.weight.shape) < 0.5).double()

    def forward(self, sites: Tensor) -> Tensor:
        with torch.no_grad():
            kept = self.weight.clone()
            self.weight.mul_(self.mask)
        params = super().forward(sites)
        with torch.no_grad():
            self.weight.copy_(kept)
        return params


class ShiftedStep(SteppingTable):
    """`step` gives every site the parameters of the site before it."""

    def step(self, state: Tensor, previous: Tensor | None, site: int) -> tuple[Tensor, Tensor]:
        if previous is None:
            return super().step(state, previous, 0)
        params = self.tables[site - 1][state]
        _, state = super().step(state, previous, site)
        return params, state


class PrefillsOneSiteLate(SteppingTable):
    """`prefill` takes the value of a site for that of the next."""

    def prefill(self, state: Tensor, sites: Tensor) -> Tensor:
        for value in sites[:, 1:].unbind(1):
            state = state * self.site_size + self._code(value)
        return state


class ReturnsNoState(SteppingTable):
    """`step` returns the parameters and keeps the state to itself."""

    def step(self, state: Tensor, previous: Tensor | None, site: int) -> Tensor:  # type: ignore[override]
        return super().step(state, previous, site)[0]


class ReturnsSites(SteppingTable):
    """`step` returns the parameters of one site as if they were many."""

    def step(self, state: Tensor, previous: Tensor | None, site: int) -> tuple[Tensor, Tensor]:
        params, state = super().step(state, previous, site)
        return params[:, None], state


class ForgetsTheFirstSite(SteppingTable):
    """The cache of `step` never hears of the first value."""

    def step(self, state: Tensor, previous: Tensor | None, site: int) -> tuple[Tensor, Tensor]:
        if site == 1 and previous is not None:
            previous = torch.zeros_like(previous)
        return super().step(state, previous, site)


class LeakingState(LinearNetwork):
    """The running sums are allocated once and never reset: one batch leaks into the next."""

    def __init__(self, layout: Layout, num_params: int) -> None:
        super().__init__(layout, num_params)
        self.sums: dict[int, Tensor] = {}

    def init_state(self, batch_size: int) -> Tensor:
        if batch_size not in self.sums:
            self.sums[batch_size] = torch.zeros(batch_size, *self.bias.shape).to(self.bias)
        return self.sums[batch_size]

    def step(self, state: Tensor, previous: Tensor | None, site: int) -> tuple[Tensor, Tensor]:
        order = self.permutation
        if previous is not None:
            state.add_(self.weight[order[site - 1], previous[:, 0]][:, order])
        return self.bias[order[site]] + state[:, site], state


class DropoutLeftOn(LinearNetwork):
    """Functional dropout without `training=self.training`."""

    def forward(self, sites: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(sites), 0.2)


class BatchStatistics(LinearNetwork):
    """Normalises by the statistics of the batch, so events see one another."""

    def forward(self, sites: Tensor) -> Tensor:
        params = super().forward(sites)
        return params - params.mean(0, keepdim=True) if len(params) > 1 else params


class BlindSpot(LinearNetwork):
    """A receptive field of two sites, though the author believes it sees all."""

    def forward(self, sites: Tensor) -> Tensor:
        order = torch.arange(sites.shape[1])
        near = (order[None] - order[:, None] <= 2).to(self.weight.dtype)
        view = LinearNetwork.__new__(LinearNetwork)
        nn.Module.__init__(view)
        view.alphabet_size, view.permutation, view.bias = (
            self.alphabet_size,
            self.permutation,
            self.bias,
        )
        view.register_buffer("weight", self.weight * near[:, None, :, None])
        return LinearNetwork.forward(view, sites)


class AllColoursAtOnce(TableNetwork):
    """Draws the three colours of a pixel from one pass, as if they were independent."""

    def forward(self, sites: Tensor) -> Tensor:
        rows = self._rows(sites)
        starts = [t - t % 3 for t in range(sites.shape[1])]
        params = [
            self.tables[t][rows[:, start] % len(self.tables[t])] for t, start in enumerate(starts)
        ]
        return torch.stack(params, 1)


class IdleWeight(LinearNetwork):
    """A weight that was left behind when the code changed."""

    def __init__(self, layout: Layout, num_params: int) -> None:
        super().__init__(layout, num_params)
        self.left_behind = nn.Parameter(torch.zeros(3))


class CountsOnTheCPU(LinearNetwork):
    """Makes a tensor without `device=`."""

    def forward(self, sites: Tensor) -> Tensor:
        return super().forward(sites) + torch.arange(sites.shape[1])[:, None]


class KeepsATensorAside(LinearNetwork):
    """Keeps a tensor that is no buffer, so that it stays when the network is moved."""

    def __init__(self, layout: Layout, num_params: int) -> None:
        super().__init__(layout, num_params)
        self.offsets = torch.linspace(-1, 1, layout.num_sites, dtype=torch.float64)[:, None]

    def forward(self, sites: Tensor) -> Tensor:
        return super().forward(sites) + self.offsets


class StepsOnTheCPU(SteppingTable):
    """Its state begins on the CPU, wherever its weights are."""

    def init_state(self, batch_size: int) -> Tensor:
        return torch.zeros(batch_size, dtype=torch.int64)


class ViewWithOwnWeights(LinearNetwork):
    """`reordered` copies the weights instead of sharing them."""

    def reordered(self, layout: Layout, mask_seed: int) -> LinearNetwork:
        view = LinearNetwork(layout, self.num_params).double()
        view.load_state_dict(self.state_dict())
        return view


class ViewInTheWrongOrder(LinearNetwork):
    """`reordered` keeps the mask of the old order."""

    def reordered(self, layout: Layout, mask_seed: int) -> LinearNetwork:
        view = super().reordered(layout, mask_seed)
        position = view.permutation.argsort()

        def forward(sites: Tensor) -> Tensor:
            return self(sites[:, position])[:, view.permutation]

        view.forward = forward  # type: ignore[method-assign]
        return view


class BlindToBlue(TableNetwork):
    """Sees the red and the green of earlier pixels only."""

    def _code(self, values: Tensor) -> Tensor:
        return super()._code(values) // self.alphabet_size * self.alphabet_size


class MaskOffByOneReal(LinearNetwork):
    """Real values: the diagonal again."""

    def forward(self, sites: Tensor) -> Tensor:
        return super().forward(sites) + 0.1 * sites


class CountsThePadding(LinearNetwork):
    """Reads every symbol after the end as one of the word, and makes room for it in the words."""

    def forward(self, sites: Tensor) -> Tensor:
        length = (sites != 0).sum(1, keepdim=True)
        return super().forward(sites) + length * torch.arange(5)


class CountsEverySiteOnce(AnyOrder):
    """The loss of a random prefix without its factor T / (T - d)."""

    def training_params(self, sites: Tensor) -> tuple[Tensor, Tensor]:
        params, weights = super().training_params(sites)
        return params, (weights > 0).to(weights.dtype)


class CountsWhatItReads(AnyOrder):
    """Trained as an autoencoder is: every site counts, those that are known, too."""

    def training_params(self, sites: Tensor) -> tuple[Tensor, Tensor]:
        params, weights = super().training_params(sites)
        return params, torch.ones_like(weights)


# The network, the tiny events, the check, and what it must say.
CASES: list[tuple[type[nn.Module], str, str, str]] = [
    (MaskOffByOne, "binary-3x3", "causality", "a site sees its own value"),
    (Autoencoder, "binary-3x3", "causality", "a site sees its own value"),
    (Autoencoder, "binary-3x3", "normalisation", "sum to"),
    (SeesTheNextSite, "binary-3x3", "causality", "the mask leaks from the future"),
    (MaskedInPlace, "binary-2x3", "causality", "moved by"),
    (UnsaidReorderedSums, "binary-3x3", "causality", "may have that says `reordered_sums = True`"),
    (DoubleSigmoid, "binary-2x3", "memorises_one_event", "squashed twice"),
    (UnseededMask, "binary-2x3", "invariances", "saving and loading"),
    (ShiftedStep, "sequence-5", "step_equals_forward", "at site 1, in the first batch"),
    (ShiftedStep, "sequence-5", "samplers_agree", "the step sampler differs"),
    (PrefillsOneSiteLate, "sequence-5", "step_equals_forward", "at site 2, after a prefix of 2"),
    (ReturnsNoState, "binary-2x3", "step_equals_forward", "a Tensor, expected a pair"),
    (ReturnsSites, "binary-2x3", "step_equals_forward", "expected (B, P) = (64, 1)"),
    (ForgetsTheFirstSite, "binary-2x3", "step_equals_forward", "at site 1"),
    (LeakingState, "binary-2x3", "step_equals_forward", "in the batch after another one"),
    (DropoutLeftOn, "binary-2x3", "invariances", "calling log_prob a second time"),
    (BatchStatistics, "binary-2x3", "invariances", "evaluating events one at a time"),
    (BlindSpot, "binary-2x3", "influence", "3 never sees 0"),
    (AllColoursAtOnce, "colour-1x2", "influence", "1 never sees 0"),
    (IdleWeight, "binary-2x3", "gradients", "no gradient reaches left_behind"),
    (ViewWithOwnWeights, "binary-2x3", "reordered", "weights of its own: weight, bias"),
    (ViewInTheWrongOrder, "binary-2x3", "reordered", "the view in the order of seed"),
    (CountsOnTheCPU, "binary-2x3", "devices", "add gets a tensor (6, 1) on the CPU"),
    (KeepsATensorAside, "sequence-5", "devices", "add gets a tensor (5, 1) on the CPU"),
    (StepsOnTheCPU, "binary-2x3", "devices", "add_ gets a tensor (3,) on the CPU"),
    (CountsEverySiteOnce, "binary-2x3", "training_params", "standard errors off"),
    (CountsWhatItReads, "sequence-5", "training_params", "standard errors off"),
    (BlindToBlue, "pixels-2x2", "influence", "1 never sees 0"),
    (MaskOffByOneReal, "real-5", "causality", "a site sees its own value"),
    (DoubleSigmoid, "real-5", "memorises_one_event", "standard normal data"),
    (CountsThePadding, "words-5", "normalisation", "sum to"),
]


@pytest.mark.parametrize(
    ("network", "events", "check", "evidence"),
    CASES,
    ids=[f"{network.__name__}-{check}" for network, _, check, _ in CASES],
)
def test_broken_model_is_caught_by_name(
    network: type[nn.Module], events: str, check: str, evidence: str
) -> None:
    name, subject = next(iter(subjects(network, specs={events: TINY_EVENTS[events]}).items()))
    result = run_check(check, name, subject)
    assert isinstance(result.error, ConformanceError), result.message
    assert result.status == "failed"
    assert evidence in result.message


class FreshState(LeakingState):
    """The running sums, allocated anew for every batch."""

    def init_state(self, batch_size: int) -> Tensor:
        self.sums.clear()
        return super().init_state(batch_size)


def repaired(network: type[nn.Module]) -> type[nn.Module]:
    """The same network without the mistake: what it is derived from, or a linear one."""
    if network is LeakingState:
        return FreshState
    base = network.__bases__[0]
    return LinearNetwork if base is nn.Module else base


TWINS = {(repaired(network), events, check): None for network, events, check, _ in CASES}


@pytest.mark.parametrize(
    ("network", "events", "check"),
    TWINS,
    ids=[f"{network.__name__}-{events}-{check}" for network, events, check in TWINS],
)
def test_repaired_twin_passes_the_same_check(
    network: type[nn.Module], events: str, check: str
) -> None:
    name, subject = next(iter(subjects(network, specs={events: TINY_EVENTS[events]}).items()))
    assert check in checks_for(network)
    assert run_check(check, name, subject) == Result(check, name, "passed")
