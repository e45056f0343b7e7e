"""GPT against attention written with loops, and its cache against its forward pass."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from arbench.data.streams import overlapping_windows
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench_gpt.affine import Affine
from arbench_gpt.blocks import rotary_turns, rotate
from arbench_gpt.buffers import BufferShape, SpareBuffers
from arbench_gpt.key_value_cache import MORE_SITES, LargeKeyValueCache, Lines, PlainKeyValueCache
from arbench_gpt.network import GPT

VARIANTS = [
    {},
    {"mlp": "swiglu", "bias": False},
    {"positions": "learned"},
    {"positions": "learned", "coordinates": True, "mlp": "swiglu"},
    {"coordinates": True, "ordinal": True, "bias": False},
]


def make_layout(shape: tuple[int, ...] = (1, 3, 3), size: int = 3) -> Layout:
    return Layout(EventSpec(shape, Discrete(size)))


def make_network(layout: Layout, **options: object) -> GPT:
    """A float64 network whose weights are large enough for every effect to be seen."""
    options = {"num_layers": 2, "width": 8, "num_heads": 2, **options}
    network = GPT(layout, natural_head(layout).num_params, **options)  # type: ignore[arg-type]
    network = network.double().eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(0.5 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
    return network


def random_sites(layout: Layout, batch_size: int = 4) -> Tensor:
    shape = (batch_size, layout.num_sites, layout.site_dim)
    if isinstance(layout.domain, Real):
        return torch.randn(shape, dtype=torch.float64)
    return torch.randint(layout.alphabet_size, shape)


class Oracle:
    """The same network, one event at a time, in numpy and with a loop over pairs of sites."""

    def __init__(self, network: GPT, layout: Layout) -> None:
        self.network, self.layout = network, layout
        self.weight = {name: w.detach().numpy() for name, w in network.named_parameters()}

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        bias = self.weight.get(f"{name}.bias", 0.0)
        return np.asarray(self.weight[f"{name}.weight"] @ x + bias)

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean()
        bias = self.weight.get(f"{name}.bias", 0.0)
        scaled = centred / np.sqrt((centred**2).mean() + 1e-5)
        return np.asarray(scaled * self.weight[f"{name}.weight"] + bias)

    def turn(self, x: np.ndarray, site: int) -> np.ndarray:
        """Rotates every pair of units (i, i + d/2) of one head by its angle."""
        half = len(x) // 2
        out = np.empty_like(x)
        for i in range(half):
            pair = complex(x[i], x[i + half])
            angle = site / 10000.0 ** (2 * i / len(x))
            turned = pair * complex(math.cos(angle), math.sin(angle))
            out[i], out[i + half] = turned.real, turned.imag
        return out

    def inputs(self, event: np.ndarray) -> list[np.ndarray]:
        size = self.layout.alphabet_size
        result = []
        for t in range(len(event)):
            if t == 0:
                x = self.weight["inputs.start"].copy()
            else:
                value = event[t - 1]
                x = self.weight["inputs.table.weight"][value].copy()
                if self.network.inputs.linear is not None:
                    ramp = 4 * value / (size - 1) - 2
                    x += self.weight["inputs.linear.weight"][:, 0] * ramp
            if "places" in self.weight:
                x += self.weight["places"][t]
            if self.network.inputs.places is not None:
                before = 0
                for axis in range(self.layout.coordinates.shape[1]):
                    row = before + int(self.layout.coordinates[t, axis])
                    x += self.weight["inputs.places.weight"][row]
                    before += int(self.layout.coordinates[:, axis].max()) + 1
            result.append(x)
        return result

    def params(self, event: np.ndarray) -> np.ndarray:
        stream = self.inputs(event)
        for index, block in enumerate(self.network.blocks):
            name = f"blocks.{index}"
            heads, width = block.num_heads, len(stream[0])
            head_dim = width // heads
            normed = [self.norm(f"{name}.attention_norm", x) for x in stream]
            parts = [self.linear(f"{name}.qkv", x).reshape(3, heads, head_dim) for x in normed]
            for t in range(len(stream)):
                attended = np.zeros((heads, head_dim))
                for h in range(heads):
                    scores = []
                    for s in range(t + 1):
                        query, key = parts[t][0, h], parts[s][1, h]
                        if self.network.rotary:
                            query, key = self.turn(query, t), self.turn(key, s)
                        scores.append(math.exp(query @ key / math.sqrt(head_dim)))
                    for s in range(t + 1):
                        attended[h] += scores[s] / sum(scores) * parts[s][2, h]
                stream[t] = stream[t] + self.linear(f"{name}.mix", attended.reshape(-1))
            for t in range(len(stream)):
                hidden = self.linear(f"{name}.up", self.norm(f"{name}.mlp_norm", stream[t]))
                if block.gated:
                    gate, unit = np.split(hidden, 2)
                    hidden = gate / (1 + np.exp(-gate)) * unit
                else:
                    cdf = [(1 + math.erf(u / math.sqrt(2))) / 2 for u in hidden]
                    hidden = hidden * np.array(cdf)
                stream[t] = stream[t] + self.linear(f"{name}.down", hidden)
        return np.stack([self.linear("outputs", self.norm("norm", x)) for x in stream])


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_forward_is_attention_written_with_loops(options: dict[str, object]) -> None:
    layout = make_layout()
    network = make_network(layout, **options)
    sites = random_sites(layout)
    oracle = Oracle(network, layout)
    expected = np.stack([oracle.params(event[:, 0].numpy()) for event in sites])
    params = network(sites).detach().numpy()
    np.testing.assert_allclose(params, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_cache_gives_what_forward_gives_at_every_site(options: dict[str, object]) -> None:
    specs = [EventSpec((3, 2, 3), Discrete(4)), EventSpec((9,), Discrete(2))]
    layouts = [Layout(spec) for spec in specs] + [Layout.permuted(specs[0], 3)]
    if not options.get("ordinal"):
        layouts.append(Layout(EventSpec((7,), Real())))
        layouts.append(Layout(EventSpec((3, 2, 2), Real()), sites="pixel"))
    for layout in layouts:
        if layout.site_dim > 1:
            network = GPT(layout, 5, num_layers=2, width=8, num_heads=2, **options)  # type: ignore[arg-type]
            network = network.double().eval()
        else:
            network = make_network(layout, **options)
        sites = random_sites(layout)
        params = network(sites)
        state, previous = network.init_state(len(sites)), None
        for t in range(layout.num_sites):
            stepped, state = network.step(state, previous, t)
            torch.testing.assert_close(stepped, params[:, t], rtol=0, atol=1e-11)
            previous = sites[:, t]


@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
@pytest.mark.parametrize("bias", [True, False])
def test_cache_in_float32_with_weights_arranged_for_it(mlp: str, bias: bool) -> None:
    """Wide enough for oneDNN's arrangement: other kernels than float64 has."""
    layout = make_layout((6,), 5)
    network = make_network(
        layout, num_layers=1, width=384, num_heads=6, mlp=mlp, bias=bias, positions="learned"
    )
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(0.1)
    network = network.float()
    sites = random_sites(layout)
    params = network(sites)
    state, previous = network.init_state(len(sites)), None
    if torch.backends.mkldnn.is_available():
        assert state.layers[0].up.packed is not None
    for t in range(layout.num_sites):
        stepped, state = network.step(state, previous, t)
        torch.testing.assert_close(stepped, params[:, t], rtol=1e-5, atol=2e-5)
        previous = sites[:, t]


def test_affine_maps_agree_with_linear_layers() -> None:
    generator = torch.Generator().manual_seed(0)
    for inputs, outputs in ((5, 7), (384, 512)):  # as they are, and arranged
        weight = torch.randn(outputs, inputs, generator=generator) / inputs**0.5
        x = torch.randn(3, inputs, generator=generator)
        stream = torch.randn(3, outputs, generator=generator)
        for bias in (None, torch.randn(outputs, generator=generator)):
            affine = Affine(weight, bias, 3)
            expected = torch.nn.functional.linear(x, weight, bias)
            close = {"rtol": 1e-5, "atol": 1e-5}
            torch.testing.assert_close(affine(x), expected, **close)
            gelu = torch.nn.functional.gelu(expected)
            torch.testing.assert_close(affine.gelu(x), gelu, **close)
            total = affine.add_to(stream.clone(), x)
            torch.testing.assert_close(total, stream + expected, **close)


def test_rotary_scores_depend_on_distances_alone() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    cosines, sines = rotary_turns(40, 6, like)
    query, key = torch.randn(2, 10, 6, dtype=torch.float64)

    def scores(shift: int) -> Tensor:
        turns = cosines[shift : shift + 10], sines[shift : shift + 10]
        return rotate(query, *turns) @ rotate(key, *turns).T

    for shift in (1, 7, 30):
        torch.testing.assert_close(scores(shift), scores(0), rtol=0, atol=1e-12)
    assert not torch.allclose(scores(0), query @ key.T)


def test_every_site_sees_every_earlier_one_across_row_ends() -> None:
    """By gradients: the parameters of site t move with the input that reads each site before t."""
    layout = Layout(EventSpec((1, 3, 4), Real()))
    network = GPT(layout, 2, num_layers=1, width=8, num_heads=2).double().eval()
    sites = torch.randn(1, 12, 1, dtype=torch.float64, requires_grad=True)
    params = network(sites)
    for t in range(12):
        (gradient,) = torch.autograd.grad(params[0, t].sum(), sites, retain_graph=True)
        moved = gradient[0, :, 0].abs() > 0
        assert moved.tolist() == [s < t for s in range(12)]


@pytest.mark.parametrize("num_given", [0, MORE_SITES + 2])
@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_a_buffer_past_its_last_site_gets_no_attention(
    dtype: torch.dtype, tolerance: float, far: bool, num_given: int
) -> None:
    """It has room for more sites than one; then it grows, into memory that holds something else."""
    generator = torch.Generator().manual_seed(0)
    num_sites, (batch_size, num_heads, head_dim) = 2 * MORE_SITES + 1, (2, 3, 4)
    draws = torch.randn(
        3, num_sites, batch_size, num_heads, head_dim, generator=generator, dtype=dtype
    )
    shape = BufferShape(batch_size, num_heads, num_sites, head_dim)
    spare = SpareBuffers(2)
    used = [spare.take(shape.num_bytes(dtype)) for _ in range(2)]
    for buffer in used:
        shape.laid_over(buffer, dtype).fill_(math.nan)
    spare.give_back(used)
    cache = (
        LargeKeyValueCache(shape, draws, Lines(shape), spare)
        if far
        else PlainKeyValueCache(shape, draws)
    )
    cache.keys.fill_(math.nan)
    cache.values.fill_(math.nan)
    if num_given:
        cache.fill(*draws[1:, :num_given].permute(0, 2, 3, 1, 4))
    for t in range(num_given, num_sites):
        attended = cache.attend(*draws[:, t], t)
        query, key, value = draws[0, t], draws[1, : t + 1], draws[2, : t + 1]
        weights = torch.einsum("bhd,tbhd->tbh", query, key).softmax(0)
        expected = torch.einsum("tbh,tbhd->bhd", weights, value).flatten(1)
        torch.testing.assert_close(attended, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("num_given", [1, MORE_SITES, MORE_SITES + 2])
def test_sites_read_at_once_are_those_read_one_by_one_beyond_caches_too(
    monkeypatch: pytest.MonkeyPatch, num_given: int
) -> None:
    monkeypatch.setattr("arbench_gpt.key_value_cache.BEYOND_CACHES", 1)
    layout = make_layout((1, 5, 8))
    network = make_network(layout, positions="rotary", coordinates=True)
    sites = torch.randint(layout.alphabet_size, (3, layout.num_sites, 1))
    expected = network(sites)
    state = network.prefill(network.init_state(3), sites[:, :num_given])
    for t in range(num_given, layout.num_sites):
        params, state = network.step(state, sites[:, t - 1], t)
        torch.testing.assert_close(params, expected[:, t], rtol=0, atol=1e-10)


def test_events_beyond_caches_are_sampled_as_those_nearby(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = make_layout((1, 8, 9))
    network = make_network(layout, positions="rotary")
    model = Model(network, natural_head(layout), layout)
    noise = model.draw_noise(4, torch.Generator().manual_seed(0))
    nearby = model.sample(4, noise=noise, method="step")
    monkeypatch.setattr("arbench_gpt.key_value_cache.BEYOND_CACHES", 1)
    assert isinstance(network.init_state(4).caches[0], LargeKeyValueCache)
    assert torch.equal(model.sample(4, noise=noise, method="step"), nearby)


def test_branches_start_small_in_proportion_to_their_number() -> None:
    layout = make_layout()
    for num_layers in (1, 8):
        network = GPT(layout, 3, num_layers=num_layers, width=128)
        for block in network.blocks:
            assert block.qkv.weight.std().item() == pytest.approx(0.02, rel=0.05)
            for adds in (block.mix, block.down):
                expected = 0.02 / math.sqrt(2 * num_layers)
                assert adds.weight.std().item() == pytest.approx(expected, rel=0.05)
        assert not network.outputs.bias.any()


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_builds_without_data(options: dict[str, object]) -> None:
    with torch.device("meta"):
        network = GPT(make_layout(), 3, **options)  # type: ignore[arg-type]
    assert all(weight.is_meta for weight in network.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layers": 0}, "at least 1"),
        ({"width": 10, "num_heads": 3}, "must divide the width"),
        ({"width": 6, "num_heads": 2}, "width / num_heads must be even"),
        ({"dropout": 1.0}, "probability below 1"),
        ({"positions": "rotray"}, "'rotary' or 'learned'"),
        ({"mlp": "relu"}, "'gelu' or 'swiglu'"),
    ],
)
def test_unacceptable_settings_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GPT(make_layout(), 3, **options)  # type: ignore[arg-type]


def test_learns_to_look_three_sites_back() -> None:
    layout = make_layout((12,), 4)
    torch.manual_seed(0)
    model = Model(GPT(layout, 4, num_layers=2, width=32, num_heads=2), natural_head(layout), layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(100):
        events = torch.randint(4, (32, 3)).repeat(1, 4)
        loss = -model.log_prob(events).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    events = torch.randint(4, (64, 3)).repeat(1, 4)
    nats = -model.eval().log_prob(events).mean().item()
    assert 3 * math.log(4) - 0.1 < nats < 5 * math.log(4)  # and 12 log 4 at first


@pytest.mark.parametrize("options", VARIANTS)
def test_windows_are_scored_as_if_every_site_were(options: dict[str, object]) -> None:
    # The first window scores all sites, the next ones 2, the last one 1 of them.
    layout = make_layout((6,))
    model = Model(make_network(layout, **options), natural_head(layout), layout).eval()
    symbols = torch.randint(3, (15,), generator=torch.Generator().manual_seed(2))
    windows = overlapping_windows(symbols, 6, 2)
    assert windows.scored is not None
    assert windows.scored.sum(1).tolist() == [6, 2, 2, 2, 2, 1]
    expected = model.site_log_probs(windows.events) * windows.scored
    found = model.site_log_probs(windows.events, windows.scored)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert found.count_nonzero() == windows.scored.sum()
