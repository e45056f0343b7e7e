"""RNN-NADE against its formulas in numpy, and summed over all events of two steps of three keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import special

from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import Bernoulli
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing.toys import all_events
from arbench_rnn_nade.network import LSTMNADE, RNNNADE, RecurrentNADE

CLASSES = [RNNNADE, LSTMNADE]
SPEC = EventSpec((1, 2, 3), Discrete(2))
SETTINGS: list[dict[str, Any]] = [{}, {"activation": "sigmoid"}, {"num_layers": 2}]


def make_model(network_class: type[RecurrentNADE], spec: EventSpec = SPEC, **given: Any) -> Model:
    """A small float64 model whose weights are far from their first values."""
    layout = Layout(spec)
    head = Bernoulli(layout)
    arguments = {"hidden": 5, "units": 4, **given}
    network = network_class(layout, head.num_params, **arguments).double()
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return Model(network, head, layout).eval()


def oracle(network: RecurrentNADE, event: np.ndarray) -> float:
    """The log-probability of a piano roll `(S, N)`, key by key as the papers write it."""
    w = {name: p.detach().numpy() for name, p in network.named_parameters()}
    num_layers, is_lstm = network.layers.num_layers, isinstance(network, LSTMNADE)
    units = [w["initial"][0, layer] for layer in range(num_layers)]
    cells = [w["initial"][-1, layer] for layer in range(num_layers)]
    total = 0.0
    for step in event:
        pre = w["to_hidden.bias"] + w["to_hidden.weight"] @ units[-1]
        bias = w["to_params.bias"] + w["to_params.weight"] @ units[-1]
        for key, value in enumerate(step):
            hidden = np.maximum(pre, 0) if network.activation == "relu" else special.expit(pre)
            logit = bias[key] + w["readout"][key] @ hidden
            total += special.log_expit(logit if value else -logit)
            pre = pre + value * w["weight"][key]
        below = step.astype(float)
        for n in range(num_layers):
            gates = sum(
                w[f"layers.weight_{kind}_l{n}"] @ read + w[f"layers.bias_{kind}_l{n}"]
                for kind, read in (("ih", below), ("hh", units[n]))
            )
            if is_lstm:
                write, keep, new, read = np.split(gates, 4)
                cells[n] = special.expit(keep) * cells[n] + special.expit(write) * np.tanh(new)
                units[n] = special.expit(read) * np.tanh(cells[n])
            else:
                units[n] = np.tanh(gates)
            below = units[n]
    return total


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("network_class", CLASSES)
def test_log_probabilities_are_those_of_the_formulas_and_sum_to_one(
    network_class: type[RecurrentNADE], settings: dict[str, Any]
) -> None:
    model = make_model(network_class, **settings)
    events = all_events(SPEC)
    assert len(events) == 64
    found = model.log_prob(events).detach()
    expected = [oracle(model.network, event[0].numpy()) for event in events]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-11)
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("network_class", CLASSES)
def test_steps_are_the_forward_pass(
    network_class: type[RecurrentNADE], settings: dict[str, Any]
) -> None:
    model = make_model(network_class, EventSpec((1, 4, 5), Discrete(2)), **settings)
    sites = torch.randint(2, (7, 20, 1), generator=torch.Generator().manual_seed(1))
    params, state, previous = model.network(sites), model.network.init_state(7), None
    for t in range(20):
        stepped, state = model.network.step(state, previous, t)
        torch.testing.assert_close(stepped, params[:, t], rtol=1e-11, atol=1e-11)
        previous = sites[:, t]


def test_one_row_of_hidden_units_follows_each_key_that_sounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What makes it fast: the rows that meet the readout, counted for a known batch."""
    model, rows = make_model(RNNNADE, EventSpec((1, 4, 5), Discrete(2))), []
    network = model.network
    relu = torch.nn.functional.relu

    def counted(pre: torch.Tensor) -> torch.Tensor:
        rows.append(len(pre))
        return relu(pre)

    monkeypatch.setitem(RNNNADE._within.__globals__["_ACTIVATIONS"], "relu", counted)
    events = torch.zeros(3, 1, 4, 5, dtype=torch.int64)
    events[0, 0, 1, [0, 2]] = events[2, 0, 3, 1] = 1
    events[1, 0, 2, 4] = 1  # the last key: no key of the step comes after it
    network(model.layout.to_sites(events))
    assert rows == [3 * 4 + 3]


@pytest.mark.parametrize(
    "silent", [("readout",), ("to_params.weight", "to_hidden.weight")], ids=str
)
def test_units_are_left_out_in_training_alone_and_means_stay(silent: tuple[str, ...]) -> None:
    """Recurrent units where the readout is silent, and hidden ones where the units are."""
    network = make_model(LSTMNADE, dropout=0.4).network
    for name in silent:
        torch.nn.init.zeros_(network.get_parameter(name))
    sites = torch.zeros(4000, 6, 1, dtype=torch.int64)
    expected = network(sites[:1])[0, :3]
    found = network.train()(sites)[:, :3]
    torch.testing.assert_close(found.mean(0), expected, rtol=0.05, atol=0.05)
    assert bool((found.std(0) > 0.1).any())


def test_keys_are_not_told_to_the_recurrence_of_training() -> None:
    network = make_model(RNNNADE, input_dropout=0.5).network
    sites = torch.ones(50, 6, 1, dtype=torch.int64)
    expected, found = network(sites), network.train()(sites)
    torch.testing.assert_close(found[:, :3], expected[:, :3])  # within a step all keys are known
    assert bool((found[:, 3:] != expected[:, 3:]).any())


def test_units_are_left_out_between_layers() -> None:
    network = make_model(LSTMNADE, num_layers=2, dropout=0.5).network.train()
    sites = torch.ones(50, 6, 1, dtype=torch.int64)
    assert not torch.equal(network.features(sites), network.features(sites))


def test_features_have_read_every_step() -> None:
    network = make_model(RNNNADE).network
    sites = torch.zeros(1, 6, 1, dtype=torch.int64)
    changed = sites.clone()
    changed[0, 5] = 1
    assert not torch.equal(network.features(sites), network.features(changed))


@pytest.mark.parametrize(
    ("spec", "order", "said"),
    [
        (EventSpec((6,), Discrete(2)), None, "these events have none"),
        (EventSpec((1, 2, 3), Discrete(2)), [1, 0, 2, 3, 4, 5], "these events have none"),
        (EventSpec((1, 2, 3), Discrete(4)), None, "keys are binary dims"),
    ],
)
def test_what_has_no_steps_of_keys_is_refused(
    spec: EventSpec, order: list[int] | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        RNNNADE(Layout(spec, order=order), 1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hidden": 0}, "at least 1, got 0"),
        ({"activation": "tanh"}, "'relu' or 'sigmoid'"),
        ({"dropout": 1.0}, "a probability below 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LSTMNADE(Layout(SPEC), 1, **settings)
