"""MADE against the paper's equations, and what makes its sampler and its views exact."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.training.recipes import resolve_recipe
from arbench_made import arbench_entries
from arbench_made.network import MADE


def make_layout(num_sites: int = 7, size: int = 2, order_seed: int | None = None) -> Layout:
    spec = EventSpec((num_sites,), Discrete(size))
    return Layout(spec) if order_seed is None else Layout.permuted(spec, order_seed)


def make_network(layout: Layout, **options: object) -> MADE:
    """A float64 network whose weights are large enough for every effect to be seen."""
    options.setdefault("hidden", [19])
    num_params = natural_head(layout).num_params
    network = MADE(layout, num_params, **options).double().eval()  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    return network


def random_sites(layout: Layout, batch_size: int = 5) -> Tensor:
    return torch.randint(layout.alphabet_size, (batch_size, layout.num_sites, layout.site_dim))


def all_events(spec: EventSpec) -> Tensor:
    assert isinstance(spec.domain, Discrete)
    values = list(itertools.product(range(spec.domain.size), repeat=spec.num_dims))
    return torch.tensor(values).view(-1, *spec.shape)


def hidden_degrees(network: MADE) -> list[np.ndarray]:
    count = len(network.hidden)
    return [network.degrees.layer(i + 1).numpy().astype(int) for i in range(count)]


def first_weight(network: MADE) -> Tensor:
    """A copy of the weights from the input to the first hidden layer."""
    return network.state_dict()["layers.0.weight"].clone()


def oracle(network: MADE, layout: Layout, event: np.ndarray) -> np.ndarray:
    """Logits of one binary event by the paper's equations 8, 12 and 13, unit by unit.

    `m` counts from 1: input d has m = its place in the order, hidden unit k has m(k) in
    [1, D - 1], M^W = 1[m(k) >= d] and M^V = 1[d > m(k)].
    """
    weight = {name: value.numpy() for name, value in network.state_dict().items()}
    num_dims = layout.num_sites
    place = np.empty(num_dims, dtype=int)
    for position, dim in enumerate(layout.permutation.tolist()):
        place[dim] = position + 1
    below, below_degrees = event.astype(float), place
    for index, degrees in enumerate(hidden_degrees(network)):
        matrix, bias = weight[f"layers.{index}.weight"], weight[f"layers.{index}.bias"]
        above = np.empty(len(degrees))
        for k in range(len(degrees)):
            total = bias[k]
            for j in range(len(below)):
                if degrees[k] >= below_degrees[j]:
                    total += matrix[k, j] * below[j]
            above[k] = max(total, 0.0)
        below, below_degrees = above, degrees
    last = len(network.hidden)
    logits = np.empty(num_dims)
    for d in range(num_dims):
        total = weight[f"layers.{last}.bias"][d]
        for k in range(len(below)):
            if place[d] > below_degrees[k]:
                total += weight[f"layers.{last}.weight"][d, k] * below[k]
        for j in range(num_dims):
            if network.direct is not None and place[d] > place[j]:
                total += weight["direct.weight"][d, j] * event[j]
        logits[d] = total
    return logits


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("hidden", [[19], [11, 8]])
@pytest.mark.parametrize("order_seed", [None, 3])
def test_forward_is_the_papers_equations(
    hidden: list[int], direct: bool, order_seed: int | None
) -> None:
    layout = make_layout(order_seed=order_seed)
    network = make_network(layout, hidden=hidden, direct=direct, mask_seed=2)
    events = torch.randint(2, (4, layout.num_sites))
    params = layout.to_events(network(layout.to_sites(events)))
    expected = np.stack([oracle(network, layout, event) for event in events.numpy()])
    np.testing.assert_allclose(params.detach().numpy(), expected, rtol=0, atol=1e-12)


CASES = [
    pytest.param(
        size, order_seed, hidden, direct, id=f"K{size}-order{order_seed}-{hidden}-{direct}"
    )
    for size in (2, 4)
    for order_seed in (None, 5)
    for hidden, direct in (([3], False), ([19], True), ([14, 9], True), ([9, 14, 11], False))
]


@pytest.mark.parametrize(("size", "order_seed", "hidden", "direct"), CASES)
def test_step_equals_forward(
    size: int, order_seed: int | None, hidden: list[int], direct: bool
) -> None:
    layout = make_layout(size=size, order_seed=order_seed)
    network = make_network(layout, hidden=hidden, direct=direct)
    sites = random_sites(layout)
    state, previous = network.init_state(len(sites)), None
    for t, expected in enumerate(network(sites).unbind(1)):
        params, state = network.step(state, previous, t)
        torch.testing.assert_close(params, expected, rtol=0, atol=1e-11)
        previous = sites[:, t]


@pytest.mark.parametrize("size", [2, 4])
def test_samplers_agree(size: int) -> None:
    layout = make_layout(12, size=size, order_seed=1)
    model = Model(make_network(layout, hidden=[30, 20]), natural_head(layout), layout)
    noise = model.draw_noise(50, torch.Generator().manual_seed(3))
    slow = model.sample(50, noise=noise, method="whole")
    assert torch.equal(model.sample(50, noise=noise, method="step"), slow)
    assert torch.equal(model.sample(50, noise=noise, method="fixed-point"), slow)


@pytest.mark.parametrize(("size", "order_seed", "hidden", "direct"), CASES)
def test_a_site_sees_exactly_the_earlier_ones(
    size: int, order_seed: int | None, hidden: list[int], direct: bool
) -> None:
    layout = make_layout(size=size, order_seed=order_seed)
    # Unlike a rectifier, tanh lets a change through wherever there is a path.
    network = make_network(layout, hidden=hidden, direct=direct, activation="tanh")
    num_sites = layout.num_sites
    influence = torch.zeros(num_sites, num_sites, dtype=torch.bool)
    sites = random_sites(layout, 40)
    params = network(sites)
    for s in range(num_sites):
        changed = sites.clone()
        changed[:, s] = (changed[:, s] + 1) % size
        influence[:, s] = (network(changed) != params).any(-1).any(0)
    earlier = torch.ones(num_sites, num_sites, dtype=torch.bool).tril(-1)
    assert not influence[~earlier].any()
    # Layers of T - 1 units miss no degree, and then nothing earlier is hidden from anyone.
    if direct or min(hidden) >= num_sites - 1:
        assert influence[earlier].all()


@pytest.mark.parametrize(("size", "order_seed"), [(2, None), (2, 4), (4, None), (4, 4)])
def test_probabilities_sum_to_one(size: int, order_seed: int | None) -> None:
    layout = make_layout(10 if size == 2 else 5, size=size, order_seed=order_seed)
    model = Model(make_network(layout, hidden=[25, 13]), natural_head(layout), layout)
    total = model.log_prob(all_events(layout.spec)).exp().sum()
    assert abs(total.item() - 1) < 1e-9


def test_an_ensemble_of_views_is_normalised_and_not_one_of_its_members() -> None:
    layout = make_layout(8)
    network = make_network(layout)
    layouts = [layout, *(Layout.permuted(layout.spec, seed) for seed in (1, 2, 3))]
    views = [
        Model(network.reordered(order, mask_seed), natural_head(order), order)
        for order in layouts
        for mask_seed in (0, 1)
    ]
    events = all_events(layout.spec)
    log_probs = torch.stack([view.log_prob(events) for view in views])
    assert abs(Ensemble(views).log_prob(events).exp().sum().item() - 1) < 1e-9
    for one, other in itertools.combinations(log_probs, 2):
        assert (one - other).abs().max() > 0.1


def test_a_view_is_the_network_that_was_built_that_way() -> None:
    layout, other = make_layout(), make_layout(order_seed=6)
    network = make_network(layout)
    built = make_network(other, mask_seed=5)
    built.load_state_dict(network.state_dict())
    before = network(random_sites(layout, 8) * 0)
    view = network.reordered(other, 5)
    sites = random_sites(other)
    assert torch.equal(view(sites), built(sites))
    assert torch.equal(network(random_sites(layout, 8) * 0), before)


def test_views_share_every_weight_and_state_dict_holds_them_once() -> None:
    network = make_network(make_layout(), hidden=[9, 9])
    view = network.reordered(make_layout(order_seed=2), 3)
    own, shared = dict(network.named_parameters()), dict(view.named_parameters())
    assert own.keys() == shared.keys()
    assert all(own[name] is shared[name] for name in own)
    assert network.state_dict().keys() == own.keys()
    assert network.reordered(make_layout(), 0).state_dict().keys() == own.keys()


def test_a_view_takes_little_memory() -> None:
    network = make_network(make_layout(60), hidden=[500])
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    view = network.reordered(make_layout(60, order_seed=1), 1)
    owned = sum(b.numel() * b.element_size() for b in view.buffers())
    assert owned < weights / 50


@pytest.mark.parametrize("direct", [True, False])
def test_gradients_reach_every_parameter(direct: bool) -> None:
    layout = make_layout(size=4)
    network = make_network(layout, hidden=[20, 20], direct=direct)
    network(random_sites(layout)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_weights_behind_a_mask_survive_training_of_another_view() -> None:
    """Masks multiply a copy: what one view hides, another view still finds unharmed."""
    layout = make_layout()
    network = make_network(layout, direct=False)
    view = network.reordered(layout, 1)
    before = first_weight(network)
    hidden_from_view = ~view.degrees.mask(1, 0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    view(random_sites(layout)).square().sum().backward()
    optimizer.step()
    after = first_weight(network)
    assert torch.equal(after[hidden_from_view], before[hidden_from_view])
    assert before[hidden_from_view].abs().min() > 0
    assert not torch.equal(after[~hidden_from_view], before[~hidden_from_view])


def test_masks_hold_after_an_optimiser_step() -> None:
    layout = make_layout()
    network = make_network(layout, hidden=[19, 12])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network(random_sites(layout)).square().sum().backward()
        optimizer.step()
    sites = random_sites(layout)
    params = network(sites)
    for t in range(layout.num_sites):
        changed = sites.clone()
        changed[:, t:] = 1 - changed[:, t:]
        assert torch.equal(network(changed)[:, : t + 1], params[:, : t + 1])


@pytest.mark.parametrize("width", [3, 6, 7, 100])
def test_degrees_are_spread_over_their_whole_range(width: int) -> None:
    network = MADE(make_layout(7), 1, hidden=[width, width])
    first, second = hidden_degrees(network)
    for degrees in (first, second):
        assert degrees.min() >= 1
        assert degrees.max() <= 6
        if width >= 6:
            counts = np.bincount(degrees, minlength=7)[1:]
            assert counts.min() >= 1
            assert counts.max() - counts.min() <= 1
    assert second.min() >= first.min()


def test_mask_seed_decides_the_masks() -> None:
    layout = make_layout(30)
    first, same, other = (
        hidden_degrees(MADE(layout, 1, hidden=[40], mask_seed=seed))[0] for seed in (1, 1, 2)
    )
    assert (first == same).all()
    assert (first != other).any()


def test_each_unit_is_computed_once_while_sampling() -> None:
    """The rows that become final at each site partition every hidden layer."""
    network = make_network(make_layout(9), hidden=[21, 5])
    starts = network.init_state(1).starts
    for layer, width in enumerate((9, 21, 5, 9)):
        finals = [starts[layer][t + 1] - starts[layer][t] for t in range(9)]
        expected = width - (1 if layer == 0 else 0)  # nobody reads the last site
        assert min(finals) >= 0
        assert sum(finals) == expected


def test_real_data_of_several_dims_per_site() -> None:
    """The masks count sites, however many inputs and parameters a site has."""
    layout = Layout(EventSpec((3, 2, 2), Real()), sites="pixel")
    network = MADE(layout, 6, hidden=[16]).double()
    sites = torch.randn(3, 4, 3, dtype=torch.float64)
    params = network(sites)
    assert params.shape == (3, 4, 6)
    state, previous = network.init_state(3), None
    for t in range(4):
        step_params, state = network.step(state, previous, t)
        torch.testing.assert_close(step_params, params[:, t], rtol=0, atol=1e-12)
        previous = sites[:, t]


def test_one_site_alone_is_a_bias() -> None:
    layout = make_layout(1)
    network = make_network(layout)
    params = network(torch.tensor([[[0]], [[1]]]))
    assert torch.equal(params[0], params[1])
    stepped, _ = network.step(network.init_state(2), None, 0)
    torch.testing.assert_close(stepped, params[:, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": []}, "widths of at least 1"),
        ({"hidden": [5, 0]}, "widths of at least 1"),
        ({"dropout": 1.0}, "probability below 1"),
        ({"activation": "gelu"}, "one of relu, softplus, tanh"),
        ({"mask_seed": -1}, "mask_seed must be at least 0"),
    ],
)
def test_unacceptable_settings_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MADE(make_layout(), 1, **options)  # type: ignore[arg-type]


def test_widths_can_be_set_on_the_command_line() -> None:
    (entry,) = arbench_entries
    _, recipe = resolve_recipe(entry, MADE, "default", {"hidden": (30, 20)})
    assert MADE(make_layout(), 1, **recipe.network).hidden == (30, 20)


def test_learns_that_a_dim_repeats_the_one_before() -> None:
    spec = EventSpec((6,), Discrete(2))
    layout = Layout(spec)
    network = MADE(layout, 1, hidden=[24])
    model = Model(network, natural_head(layout), layout)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    events = torch.randint(2, (64, 1)).expand(-1, 6)
    for _ in range(150):
        optimizer.zero_grad()
        loss = -model.log_prob(events).mean()
        loss.backward()
        optimizer.step()
    assert -model.log_prob(torch.ones(1, 6)).item() < np.log(2) + 0.2


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize(("size", "order_seed", "hidden", "direct"), CASES)
def test_blocks_give_the_values_and_gradients_of_whole_masked_matrices(
    size: int, order_seed: int | None, hidden: list[int], direct: bool, dropout: float
) -> None:
    layout = make_layout(size=size, order_seed=order_seed)
    network = make_network(layout, hidden=hidden, direct=direct, dropout=dropout).train()
    sites, found = random_sites(layout), []
    for network.forward_kernel in ("dense", "blocks"):
        torch.manual_seed(4)
        params = network(sites)
        found.append((params, *torch.autograd.grad(params.sin().sum(), [*network.parameters()])))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-11)


def test_a_view_in_another_order_has_blocks_of_its_own() -> None:
    network = make_network(make_layout())
    network.forward_kernel = "blocks"
    sites = random_sites(make_layout())
    network(sites)
    view = network.reordered(make_layout(order_seed=5), 1)
    blocks = view(sites)
    view.forward_kernel = "dense"
    torch.testing.assert_close(blocks, view(sites), rtol=0, atol=1e-11)


def test_a_product_in_blocks_passes_gradcheck() -> None:
    network = make_network(make_layout(order_seed=3), hidden=[6, 5])
    network.forward_kernel = "blocks"
    stairs = network._stairs(2, 1)
    weight = network.get_parameter("layers.1.weight").detach()
    shapes = ((5,), (3, 6), (3, 5))
    bias, values, term = (torch.rand(s, dtype=torch.float64, requires_grad=True) for s in shapes)
    weight.requires_grad_()
    for added in (bias, term):
        assert torch.autograd.gradcheck(stairs.add_product, (added, values, weight))


def test_blocks_leave_out_nearly_half_of_the_products() -> None:
    network = make_network(make_layout(64), hidden=[300])
    products = [network._stairs(1, 0), network._stairs(2, 1)]
    done = sum(
        block.num_read * (block.own.stop - block.own.start)
        for stairs in products
        for block in stairs.blocks
    )
    assert done < 0.57 * 2 * 64 * 300


def test_a_large_network_starts_with_compiled_loops_and_a_small_one_without() -> None:
    layout = make_layout(64)
    assert MADE(layout, 1, hidden=[30]).forward_kernel == "dense"
    assert MADE(layout, 1, hidden=[4000]).forward_kernel == "compiled"
