"""Deep NADE against its definition, what its training asks, and completions of any dims."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from brute_force import chi_square_p, counts
from numpy.typing import NDArray
from torch import Tensor

from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import natural_head
from arbench.probability.heads.copies import copies_of
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing.toys import all_events
from arbench_any_order.network import AnyOrder

SPECS = {
    "binary": EventSpec((1, 2, 3), Discrete(2)),
    "colour": EventSpec((3, 1, 2), Discrete(3)),
    "sequence": EventSpec((4,), Discrete(3)),
}
ACTIVATIONS = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}


def make_network(layout: Layout, num_params: int, seed: int = 1, **options: object) -> AnyOrder:
    """A float64 network whose weights are large enough for every effect to be seen."""
    options.setdefault("hidden", (9, 9))
    network = AnyOrder(layout, num_params, **options).double().eval()  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(0.7 * torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    return network


def make_model(layout: Layout, seed: int = 1, **options: object) -> Model:
    head = natural_head(layout)
    return Model(make_network(layout, head.num_params, seed, **options), head, layout).eval()


def vector_of(network: AnyOrder, site: int, value: NDArray[np.int64]) -> NDArray[np.float64]:
    """What a known site adds, by the paper: values times the mask, and the mask."""
    weight = network.known_sites.weight.detach().numpy()[site]
    size = network.known_sites.size
    if size:
        return sum(weight[dim * size + v] for dim, v in enumerate(value))
    return weight[-1] + sum(v * weight[dim] for dim, v in enumerate(value))


def oracle(
    network: AnyOrder, sites: NDArray[np.int64], known: list[int], site: int, activation: str
) -> NDArray[np.float64]:
    """Parameters of a canonical site given the values `(T, C)` of a set of known ones."""
    act = ACTIVATIONS[activation]
    total = network.known_sites.bias.detach().numpy().copy()
    for other in known:
        total += vector_of(network, other, sites[other])
    hidden = act(total)
    for layer in network.layers:
        weight, bias = (p.detach().numpy() for p in (layer.weight, layer.bias))
        above = act(weight @ hidden + bias)
        hidden = hidden + above if network.residual else above
    readout, bias = network.readout[site].detach().numpy(), network.readout_bias[site]
    return np.asarray(readout @ hidden + bias.detach().numpy())


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "layout",
    [
        Layout(SPECS["binary"]),
        Layout.permuted(SPECS["binary"], 3),
        Layout.permuted(SPECS["colour"], 4),
        Layout.permuted(SPECS["colour"], 2, sites="pixel"),
        Layout.permuted(EventSpec((5,), Real()), 1),
    ],
    ids=["binary", "permuted", "colour", "pixels", "real"],
)
def test_every_conditional_reads_the_set_of_the_sites_before(
    layout: Layout, activation: str, residual: bool
) -> None:
    network = make_network(layout, 2, activation=activation, residual=residual)
    shape = (3, layout.num_sites, layout.site_dim)
    size = getattr(layout.domain, "size", 0)
    sites = torch.randint(size, shape) if size else torch.randn(shape, dtype=torch.float64)
    with torch.no_grad():
        found = network(sites).numpy()
    order = layout.permutation.tolist()
    for event, params in zip(sites.numpy(), found, strict=True):
        canonical = event[np.argsort(order)]
        for t, site in enumerate(order):
            expected = oracle(network, canonical, order[:t][::-1], site, activation)
            np.testing.assert_allclose(params[t], expected, rtol=1e-10, atol=1e-10)


def test_a_training_step_asks_for_all_that_is_unknown_given_a_drawn_set() -> None:
    """The next test is about how likely each length is; the mean then is that over all orders."""
    torch.manual_seed(0)
    layout = Layout.permuted(SPECS["colour"], 5)
    network, order = make_network(layout, 3), layout.permutation.tolist()
    sites = torch.randint(3, (40, 6, 1))
    with torch.no_grad():
        params, weights = network.training_params(sites)
    for event, found, own in zip(sites.numpy(), params.numpy(), weights.numpy(), strict=True):
        known = [site for site, weight in zip(order, own, strict=True) if weight == 0]
        for t, site in enumerate(order):
            if site not in known:
                assert own[t] == pytest.approx(6 / (6 - len(known)), rel=1e-12)
                expected = oracle(network, event[np.argsort(order)], known, site, "relu")
                np.testing.assert_allclose(found[t], expected, rtol=1e-10, atol=1e-10)


def test_every_length_of_prefix_is_as_likely_for_every_event() -> None:
    torch.manual_seed(0)
    layout = Layout(SPECS["sequence"])
    network = make_network(layout, 3)
    sites = torch.zeros(8, 4, 1, dtype=torch.int64)
    weights = torch.stack([network.training_params(sites)[1] for _ in range(2000)])
    num_known = (weights == 0).sum(-1)
    for event in range(8):
        found = np.bincount(num_known[:, event].numpy(), minlength=4)
        assert np.abs(found - 500).max() < 5 * math.sqrt(500 * 0.75)
    # Of 8 events of 4 sites, two have each length.
    assert all(np.array_equal(np.bincount(row, minlength=4), [2] * 4) for row in num_known.numpy())
    is_known = (weights == 0).double().mean((0, 1))
    assert (is_known - 1.5 / 4).abs().max() < 0.02


def test_known_values_and_which_are_known_both_count() -> None:
    """An unknown value moves nothing; a known 0 is not an unknown one."""
    layout = Layout(SPECS["binary"])
    sums = make_network(layout, 1).known_sites
    sites = torch.zeros(1, 6, 1, dtype=torch.int64)
    known = torch.tensor([[True, False, True, False, False, False]])
    with torch.no_grad():
        before = sums.of_all(sites, known)
        sites[0, 1] = 1
        assert torch.equal(before, sums.of_all(sites, known))
        assert not torch.equal(before, sums.of_all(sites, known & False))
        sites[0, 0] = 1
        assert not torch.equal(before, sums.of_all(sites, known))


def conditional_by_sums(models: list[Model], given: Tensor, known: Tensor) -> NDArray[np.float64]:
    """The mixture's probability of every event, given some dims, each model in its own order."""
    events = all_events(models[0].spec)
    with torch.no_grad():
        masses = torch.stack([m.log_prob(events).exp() for m in models]).mean(0).numpy()
    fits = ((events == given) | ~known).flatten(1).all(1).numpy()
    return np.asarray(masses * fits / (masses * fits).sum())


HOLES = {
    "binary": [[0, 1, 0], [1, 0, 1]],
    "colour": [[0, 1, 1], [0, 0, 1]],
    "sequence": [False, True, False, True],
}


@pytest.mark.parametrize("method", ["step", "whole", "fixed-point"])
@pytest.mark.parametrize("name", HOLES)
def test_a_completion_follows_the_conditional_of_the_order_with_known_dims_first(
    name: str, method: str
) -> None:
    """By enumeration, for known dims that are no prefix; the order is the one that is promised."""
    spec = SPECS[name]
    known = torch.tensor(HOLES[name]).bool().view(spec.shape)
    model = make_model(Layout.permuted(spec, 3))
    given = all_events(spec)[len(all_events(spec)) // 3]
    canonical = model.layout.to_sites(known[None])[0, :, 0]
    order = model.layout.permutation
    first = Layout(spec, order=torch.cat((order[canonical], order[~canonical])).tolist())
    joint = Model(model.network.reordered(first, 0), model.head, first)
    probs = conditional_by_sums([joint], given, known)
    generator = torch.Generator().manual_seed(1)
    drawn = model.sample(4000, generator=generator, given=given, known=known, method=method)
    assert chi_square_p(counts(drawn, spec), probs) > 1e-4
    # What the model itself says of the unknown dims, in its own order, is another distribution.
    assert np.abs(conditional_by_sums([model], given, known) - probs).max() > 0.01


def test_the_order_of_what_is_known_does_not_matter() -> None:
    """Only the set is read, so the conditional given it is one whatever came first."""
    spec = SPECS["sequence"]
    known = torch.tensor([True, False, True, False])
    given = torch.tensor([2, 0, 1, 0])
    model = make_model(Layout(spec))
    joints = [
        Model(model.network.reordered(layout, 0), model.head, layout)
        for layout in (Layout(spec, order=order) for order in ([0, 2, 1, 3], [2, 0, 1, 3]))
    ]
    one, other = (conditional_by_sums([joint], given, known) for joint in joints)
    np.testing.assert_allclose(one, other, rtol=1e-10)
    turned = Layout(spec, order=[0, 2, 3, 1])
    third = Model(model.network.reordered(turned, 0), model.head, turned)
    assert np.abs(conditional_by_sums([third], given, known) - one).max() > 0.01


def mixtures(spec: EventSpec) -> dict[str, tuple[Model | Ensemble, list[Model]]]:
    """Densities, and the models that share the probability of an event between them."""
    layouts = [Layout.permuted(spec, seed) for seed in (1, 2)]
    base = make_model(layouts[0])
    members = [Model(base.network.reordered(own, 0), base.head, own).eval() for own in layouts]
    pair = [make_network(layouts[0], 3, seed) for seed in (1, 2)]
    copies = Model(copies_of(pair, base.head), base.head, layouts[0]).eval()
    return {"orders": (Ensemble(members), members), "copies": (copies, [copies])}


@pytest.mark.parametrize("name", ["orders", "copies"])
def test_ensembles_and_copies_complete_any_dims(name: str) -> None:
    spec, known = SPECS["sequence"], torch.tensor([False, True, True, False])
    density, members = mixtures(spec)[name]
    given = torch.tensor([0, 2, 1, 0])
    joints = []
    for member in members:
        order = sorted(member.layout.permutation.tolist(), key=lambda site: not known[site])
        layout = Layout(spec, order=order)
        joints.append(Model(member.network.reordered(layout, 0), member.head, layout).eval())
    generator = torch.Generator().manual_seed(2)
    drawn = density.sample(4000, generator=generator, given=given, known=known)
    probs = conditional_by_sums(joints, given, known)
    assert chi_square_p(counts(drawn, spec), probs) > 1e-4


def test_a_prefix_is_completed_as_by_any_other_model() -> None:
    spec = SPECS["sequence"]
    model = make_model(Layout(spec))
    assert model.completing(torch.tensor([True, True, False, False])) is model
    assert model.completing(torch.zeros(4, dtype=torch.bool)) is model


def test_a_pixel_is_given_as_a_whole() -> None:
    from arbench.testing.toys import JointCategorical

    layout = Layout(SPECS["colour"], sites="pixel")
    head = JointCategorical(layout)
    model = Model(make_network(layout, head.num_params), head, layout).eval()
    given = torch.tensor([[[0, 1]], [[2, 0]], [[1, 1]]])
    known = torch.tensor([[[False, True]]] * 3)
    drawn = model.sample(50, given=given, known=known)
    assert torch.equal(drawn[:, known], given[known].expand(50, 3))
    known[0] = False
    with pytest.raises(ValueError, match=r"the pixel at \(0, 1\) is given in part"):
        model.sample(2, given=given, known=known)


def test_a_view_shares_the_weights_and_nothing_else() -> None:
    network = make_network(Layout(SPECS["sequence"]), 3)
    view = network.reordered(Layout(SPECS["sequence"], order=[3, 1, 0, 2]), 7)
    assert network.permutation.tolist() == [0, 1, 2, 3]
    assert view.permutation.tolist() == [3, 1, 0, 2]
    assert all(a is b for a, b in zip(view.parameters(), network.parameters(), strict=True))


def test_pieces_of_a_long_event_are_one_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout.permuted(EventSpec((50,), Discrete(2)), 1)
    network = make_network(layout, 1)
    sites = torch.randint(2, (3, 50, 1))
    with torch.no_grad():
        whole = network(sites)
        monkeypatch.setattr("arbench_any_order.network._MOST_UNITS", 3 * 9 * 7)
        torch.testing.assert_close(network(sites), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"hidden": ()}, "one or more widths"),
        ({"hidden": (3, 0)}, "one or more widths"),
        ({"hidden": (3, 4), "residual": True}, "one width"),
        ({"activation": "sine"}, "'sine'"),
        ({"dropout": 1.0}, "below 1"),
    ],
)
def test_what_makes_no_network_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        AnyOrder(Layout(SPECS["sequence"]), 3, **options)  # type: ignore[arg-type]
