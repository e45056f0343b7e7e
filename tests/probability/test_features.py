"""What a model offers beside its probabilities: features of events, and itself before training."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.errors import PluginError
from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads.copies import copies_of
from arbench.probability.heads.natural import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.runs.config import assemble
from arbench.runs.loading import load_run, read_config
from arbench.testing.toys import LinearNetwork
from arbench_gpt.network import GPT
from arbench_made.network import MADE
from arbench_nade.network import NADE
from arbench_pixelcnn.gated import GatedPixelCNN
from arbench_pixelcnn.network import PixelCNN
from arbench_pixelrnn.network import PixelRNN
from arbench_rnn.network import GRU, LSTM
from arbench_wavenet.network import WaveNet

ZOO = Path(__file__).parents[2] / "zoo/mnist-mini/nade"
COLOURS = Layout(EventSpec((1, 8, 8), Discrete(3)))


def model_of(network_class: type[nn.Module], layout: Layout = COLOURS, **settings: Any) -> Model:
    head = natural_head(layout)
    network = network_class(layout, head.num_params, **settings)
    return Model(network, head, layout).double().eval()


def events_of(layout: Layout, num_events: int = 5) -> Tensor:
    return torch.randint(layout.alphabet_size, (num_events, *layout.spec.shape))


def stepped(model: Model, events: Tensor) -> Any:
    """The state after the step for the last site, which has read all values before."""
    sites, previous = model.sites_of(events), None
    state = model.network.init_state(len(events))
    for site in range(model.layout.num_sites):
        _, state = model.network.step(state, previous, site)
        previous = sites[:, site]
    return state


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("tied", [True, False])
def test_those_of_nade_are_its_last_hidden_units(tied: bool, activation: str, size: int) -> None:
    layout = Layout.permuted(EventSpec((1, 3, 3), Discrete(size)), 1)
    model = model_of(NADE, layout, hidden=6, tied=tied, activation=activation)
    nn.init.normal_(model.network.bias)
    events = events_of(layout)
    values = model.sites_of(events)[..., 0].numpy()
    told = values[..., None] if size == 2 else np.eye(3)[values]  # (B, T, F)
    weight, bias = model.network.weight.detach().numpy(), model.network.bias.detach().numpy()
    if not tied:
        told, weight, bias = told[:, :-1], weight[-8:], bias[-1]
    pre = bias + np.einsum("btf,tfh->bh", told, weight)
    expected = np.maximum(pre, 0) if activation == "relu" else 1 / (1 + np.exp(-pre))
    np.testing.assert_allclose(model.features(events), expected, atol=1e-12)
    if not tied:
        assert torch.allclose(model.features(events), stepped(model, events).hidden)


def test_those_of_made_give_its_parameters() -> None:
    model = model_of(MADE, hidden=(11, 13), direct=False)
    events, network = events_of(COLOURS), model.network
    features = model.features(events)
    assert features.shape == (5, 24)
    last = network.layers[-1]
    weight = torch.where(network.degrees.mask(3, 2), last.weight, 0.0)
    params = F.linear(features[:, 11:], weight, last.bias).view(5, 64, -1)
    assert torch.allclose(params, model.site_params(model.sites_of(events)))


@pytest.mark.parametrize("network_class", [LSTM, GRU])
def test_those_of_a_recurrent_network_are_its_last_states(network_class: type[nn.Module]) -> None:
    model = model_of(network_class, hidden=6, num_layers=2)
    events = events_of(COLOURS)
    cells = stepped(model, events).cells
    states = [
        (cell.hidden, cell.cell) if network_class is LSTM else (cell.hidden,) for cell in cells
    ]
    expected = torch.cat([state for each in states for state in each], 1)
    assert torch.allclose(model.features(events), expected)


@pytest.mark.parametrize("num_layers", [1, 2, 4])
def test_those_of_gpt_are_the_mean_of_what_enters_the_middle_block(num_layers: int) -> None:
    model = model_of(GPT, num_layers=num_layers, width=8, num_heads=2)
    events, network, seen = events_of(COLOURS), model.network, []
    middle = network.norm if num_layers == 1 else network.blocks[num_layers // 2].attention_norm
    middle.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    model.log_prob(events)
    assert torch.allclose(model.features(events), seen[0].mean(1))


@pytest.mark.parametrize(
    ("network_class", "settings", "middle"),
    [
        (PixelCNN, {"hidden": 4, "num_blocks": 2}, "blocks.0"),
        (GatedPixelCNN, {"channels": 4, "num_layers": 3}, "layers.1"),
    ],
)
def test_those_of_convolutions_are_means_over_regions(
    network_class: type[nn.Module], settings: dict[str, int], middle: str
) -> None:
    model = model_of(network_class, **settings)
    events, seen = events_of(COLOURS), []
    part = model.network.get_submodule(middle)
    part.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    model.log_prob(events)
    maps = (seen[0][1] if isinstance(seen[0], tuple) else seen[0]).relu()
    regions = maps.unflatten(2, (4, 2)).unflatten(4, (4, 2)).mean((3, 5))  # 8x8 as 4x4 of 2x2
    assert torch.allclose(model.features(events), regions.flatten(1))


def test_those_of_pixelrnn_and_wavenet_are_means_after_half_of_the_layers() -> None:
    events = events_of(COLOURS)
    deep = model_of(PixelRNN, hidden=4, num_layers=2)
    seen: list[Tensor] = []
    deep.network.layers[1].register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    deep.log_prob(events)
    regions = seen[0].relu().unflatten(2, (4, 2)).unflatten(4, (4, 2)).mean((3, 5))
    assert torch.allclose(deep.features(events), regions.flatten(1))

    wave = model_of(WaveNet, channels=4, skip_channels=8, num_blocks=1, dilations=(1, 2, 4))
    skips: list[Tensor] = []
    for layer in wave.network.layers:
        layer.register_forward_hook(lambda _module, _given, output: skips.append(output[1]))
    wave.log_prob(events)
    assert torch.allclose(wave.features(events), (skips[0] + skips[1]).relu().mean(1))


def test_a_model_offers_what_its_network_does() -> None:
    assert hasattr(model_of(NADE, hidden=3), "features")
    bare = model_of(LinearNetwork)
    assert not hasattr(bare, "features")
    assert not hasattr(bare, "reinitialise")
    assert not hasattr(Ensemble([bare, bare]), "features")
    assert not hasattr(Ensemble([bare, bare]), "reinitialise")


def test_features_are_of_events_that_the_model_knows_and_have_no_gradient() -> None:
    model = model_of(NADE, hidden=3)
    assert not model.features(events_of(COLOURS)).requires_grad
    with pytest.raises(ValueError, match="found 3"):
        model.features(torch.full((1, 1, 8, 8), 3))
    model.network.features = lambda sites: sites
    with pytest.raises(PluginError, match=r"NADE: features returned \(2, 64, 1\) torch.int64"):
        model.features(events_of(COLOURS, 2))


def test_those_of_copies_stand_side_by_side() -> None:
    head = natural_head(COLOURS)
    networks = [NADE(COLOURS, head.num_params, hidden=3) for _ in range(2)]
    events = events_of(COLOURS)
    both = Model(copies_of(networks, head), head, COLOURS).features(events)
    each = [Model(network, head, COLOURS).features(events) for network in networks]
    assert torch.equal(both, torch.cat(each, 1))
    others = [LinearNetwork(COLOURS, head.num_params) for _ in range(2)]
    assert not hasattr(Model(copies_of(others, head), head, COLOURS), "features")


def test_a_loaded_model_gives_itself_before_training_and_stays_as_it_is() -> None:
    trained = load_run(ZOO).density
    assert isinstance(trained, Model)
    before = copy.deepcopy(trained.state_dict())
    generator = torch.get_rng_state()
    fresh, again, other = (trained.reinitialise(seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), generator)
    for name, weight in trained.state_dict().items():
        assert torch.equal(weight, before[name])
        assert fresh.state_dict()[name].shape == weight.shape
        assert torch.equal(fresh.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(fresh.network.weight, other.network.weight)
    assert not torch.equal(fresh.network.weight, trained.network.weight)
    scale = fresh.network.weight.std() * fresh.layout.num_sites**0.5  # as NADE starts
    assert abs(scale - 1) < 0.01
    assert not fresh.network.bias.any()
    assert not fresh.training
    assert fresh.layout is trained.layout
    assert fresh.reinitialise(2).network.weight.equal(other.network.weight)
    assert trained.double().reinitialise(1).dtype == torch.float64


def test_copies_are_made_anew_together() -> None:
    config = read_config(ZOO)
    ensemble = config.recipe.ensemble.model_copy(update={"num_copies": 2})
    recipe = config.recipe.model_copy(update={"ensemble": ensemble})
    model = assemble(config.model_copy(update={"recipe": recipe})).density
    assert isinstance(model, Model)
    fresh = model.reinitialise(1)
    first, second = fresh.network.networks
    assert not torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight, model.network.networks[0].weight)
