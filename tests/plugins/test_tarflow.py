"""TarFlow against its formulas, patch by patch, and which patch sees which."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.autograd.functional import jacobian

from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.flows.flow import Flow
from arbench.testing.conformance import Result, run_check
from arbench.testing.flows import FLOW_CHECKS, flow_subjects
from arbench_tarflow import arbench_entries
from arbench_tarflow.blocks import Block
from arbench_tarflow.network import TarFlow
from arbench_tarflow.patches import Patches

IMAGE, ROW = EventSpec((2, 4, 6), Real()), EventSpec((6,), Real())
TINY: dict[str, Any] = {"width": 8, "num_layers": 2, "num_heads": 2}


SUBJECTS = flow_subjects(
    TarFlow,
    specs={"image": EventSpec((2, 2, 4), Real()), "row": EventSpec((6,), Real())},
    hyperparameters={"patch": 2, "num_blocks": 3},
)


@pytest.mark.parametrize("check", [check for check in FLOW_CHECKS if check != "normalisation"])
@pytest.mark.parametrize("where", SUBJECTS)
def test_flows_over_larger_patches_keep_every_promise(check: str, where: str) -> None:
    """Whether a density of two dims integrates to one is asked of patches of one."""
    assert run_check(check, where, SUBJECTS[where]) == Result(check, where, "passed")


def make(spec: EventSpec = IMAGE, *, spread: float = 0.3, **settings: Any) -> Flow:
    """A float64 flow whose weights are far from their first values."""
    flow = Flow(TarFlow(spec, **{**TINY, "patch": 2, **settings}), spec).double().eval()
    torch.manual_seed(1)
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=spread)
    return flow


def block_of(flow: Flow, number: int = 0) -> Block:
    """One of its blocks."""
    block = flow.network.blocks[number]
    assert isinstance(block, Block)
    return block


def formula(block: Block, patches: Tensor) -> tuple[Tensor, Tensor]:
    """A block's outputs of one event `(T, C)` and its log-determinant, a patch at a time.

    A patch's numbers come from a transformer that is given nothing but the patches before it.
    """
    given = patches.flip(0) if block.is_reversed else patches
    outputs, log_det = [given[0]], torch.zeros(())
    for t in range(1, len(given)):
        units = given[:t] @ block.enter.weight.T + block.enter.bias + block.positions[:t]
        for layer in block.layers:
            units = transformer(layer, units)
        mean = block.means.weight @ units[-1] + block.means.bias
        standard = (units[-1] - units[-1].mean()) / (units[-1].var(correction=0) + 1e-5).sqrt()
        normed = standard * block.norm.weight + block.norm.bias
        log_scale = block.log_scales.weight @ normed + block.log_scales.bias
        outputs.append((given[t] - mean) / log_scale.exp())
        log_det = log_det - log_scale.sum()
    made = torch.stack(outputs)
    return made.flip(0) if block.is_reversed else made, log_det


def transformer(layer: Any, units: Tensor) -> Tensor:
    """A layer with its attention written out."""
    normed = layer.attention_norm(units)
    query, key, value = (normed @ layer.qkv.weight.T + layer.qkv.bias).chunk(3, -1)
    size = units.shape[1] // layer.num_heads
    attended = []
    for h in range(layer.num_heads):
        own = slice(h * size, (h + 1) * size)
        scores = query[:, own] @ key[:, own].T / math.sqrt(size)
        hidden = torch.ones_like(scores).triu(1).bool()
        attended.append(scores.masked_fill(hidden, -math.inf).softmax(-1) @ value[:, own])
    units = units + layer.mix(torch.cat(attended, -1))
    mixed: Tensor = units + layer.mlp(units)
    return mixed


def test_latents_and_densities_are_those_of_the_formulas() -> None:
    flow = make(num_blocks=3)
    given = torch.randn(3, *IMAGE.shape, dtype=torch.float64)
    expected = []
    for patches in flow.network.patches.of(given):
        total = torch.zeros(())
        for number in range(3):
            patches, log_det = formula(block_of(flow, number), patches)
            total = total + log_det
        normal = stats.norm.logpdf(patches.detach().numpy()).sum()
        expected.append(normal + total.item())
    np.testing.assert_allclose(flow.log_prob(given).detach().numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize(("spec", "patch"), [(IMAGE, 2), (ROW, 1), (ROW, 3)])
def test_the_density_is_that_of_the_whole_jacobian(spec: EventSpec, patch: int) -> None:
    flow = make(spec, patch=patch, num_blocks=4)
    event = torch.randn(1, *spec.shape, dtype=torch.float64)
    square = jacobian(lambda x: flow.network(x)[0].flatten(), event).view(spec.num_dims, -1)
    latents, log_det = flow.network(event)
    assert log_det.item() == pytest.approx(np.linalg.slogdet(square).logabsdet, abs=1e-10)
    normal = stats.norm.logpdf(latents.detach().numpy()).sum()
    assert flow.log_prob(event).item() == pytest.approx(normal + log_det.item(), abs=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_a_patch_sees_itself_and_those_before_it_in_the_blocks_order(number: int) -> None:
    """Every other block has the last patch first; within a patch no dim sees another."""
    flow = make(num_blocks=2)
    block, (count, size) = block_of(flow, number), (6, 8)
    given = torch.randn(1, count, size, dtype=torch.float64)
    full = jacobian(lambda x: block(x)[0], given).view(count, size, count, size)
    sees = full.abs().amax((1, 3)) > 0
    first = torch.ones(count, count).tril().bool()
    assert torch.equal(sees, first.flip(0, 1) if number else first)
    for patch in range(count):
        own = full[patch, :, patch]
        assert torch.equal(own != 0, torch.eye(size).bool())


def test_a_composition_has_no_order() -> None:
    """So that no dim has a conditional: latents of both ends see all dims of the event."""
    flow = make(num_blocks=2)
    event = torch.randn(1, *IMAGE.shape, dtype=torch.float64)
    square = jacobian(lambda x: flow.network(x)[0].flatten(), event).view(IMAGE.num_dims, -1)
    sees = (square != 0).float()
    assert sees[:8].mean() > 0.8
    assert sees[-8:].mean() > 0.8


@pytest.mark.parametrize(("spec", "patch"), [(IMAGE, 2), (IMAGE, 1), (ROW, 1), (ROW, 3)])
def test_inverses_lead_back_block_by_block(spec: EventSpec, patch: int) -> None:
    flow = make(spec, patch=patch, num_blocks=3, spread=0.15)
    network = flow.network
    given = torch.randn(7, *spec.shape, dtype=torch.float64)
    with torch.no_grad():
        values = network.patches.of(given)
        stages = [values]
        for block in network.blocks:
            values, _ = block(values)
            stages.append(values)
        for number, block in enumerate(network.blocks):
            for how in (block.inverse, block.inverse_whole):
                torch.testing.assert_close(how(stages[number + 1]), stages[number], **exact())
        # Every prefix of blocks is a flow of its own.
        for last in range(1, 4):
            back = stages[last]
            for block in reversed(network.blocks[:last]):
                back = block.inverse(back)
            torch.testing.assert_close(back, stages[0], **exact())
        latents = network(given)[0]
        for how in (network.inverse, network.inverse_whole):
            torch.testing.assert_close(how(latents), given, **exact())


def exact() -> dict[str, float]:
    """In float64."""
    return {"rtol": 0, "atol": 1e-10}


def test_cached_and_whole_inverses_draw_the_same_samples() -> None:
    flow = make(num_blocks=4, spread=0.15)
    assert flow.samplers == ("inverse", "whole")
    noise = flow.draw_noise(9, torch.Generator().manual_seed(2))
    cached, whole = (flow.sample(9, noise=noise, method=method) for method in flow.samplers)
    torch.testing.assert_close(cached, whole, **exact())
    assert not torch.equal(cached[0], cached[1])
    # A cache that stays from one batch to the next would show in the second.
    torch.testing.assert_close(flow.sample(9, noise=noise), cached, rtol=0, atol=0)
    alone = torch.cat([flow.sample(1, noise=noise[n : n + 1]) for n in range(9)])
    torch.testing.assert_close(alone, cached, **exact())


def test_it_starts_as_the_identity() -> None:
    flow = Flow(TarFlow(IMAGE, patch=2), IMAGE)
    given = torch.randn(3, *IMAGE.shape)
    expected = stats.norm.logpdf(given.numpy()).reshape(3, -1).sum(1)
    np.testing.assert_allclose(flow.log_prob(given).detach().numpy(), expected, rtol=1e-5)


def test_patches_are_squares_in_raster_order_and_come_back() -> None:
    given = torch.arange(2 * 4 * 6).view(1, 2, 4, 6)
    cut = Patches(IMAGE, 2)
    found = cut.of(given)
    assert found.shape == (1, cut.num_patches, cut.patch_dim) == (1, 6, 8)
    assert found[0, 1].tolist() == given[0, :, :2, 2:4].flatten().tolist()
    assert found[0, 3].tolist() == given[0, :, 2:, :2].flatten().tolist()
    assert torch.equal(cut.joined(found, IMAGE.shape), given)
    pieces = Patches(ROW, 3)
    assert pieces.of(torch.arange(6)[None]).tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert torch.equal(pieces.joined(pieces.of(torch.arange(6)[None]), (6,)), torch.arange(6)[None])


@pytest.mark.parametrize(
    ("spec", "settings", "said"),
    [
        (EventSpec((6,), Discrete(2)), {}, "needs real numbers, but the data are Discrete"),
        (ROW, {"patch": 4}, r"has to divide the sides of an event, which are \[6\]; got 4"),
        (ROW, {"patch": 0}, "got 0"),
        (ROW, {"patch": 6}, "needs at least 2 of them, and 6 leaves one"),
        (IMAGE, {"patch": 4}, r"which are \[4, 6\]; got 4"),
        (ROW, {"num_heads": 3}, "num_heads divides width; got 64, 4, 2 and 3"),
        (ROW, {"num_blocks": 0}, "are at least 1"),
    ],
)
def test_other_data_and_bad_arguments_are_refused(
    spec: EventSpec, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        TarFlow(spec, **settings)


def test_it_learns_what_no_single_normal_distribution_is() -> None:
    """Two dims on a circle, give or take 0.1: 0.9 nats more likely than the best normal one."""
    torch.manual_seed(0)
    angle = 2 * math.pi * torch.rand(400)
    circle = torch.stack((angle.cos(), angle.sin()), 1)
    pair = EventSpec((2,), Real())
    flow = Flow(TarFlow(pair, width=16, num_layers=1), pair)
    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss = -flow.log_prob(circle + 0.1 * torch.randn(400, 2)).mean()
        torch.autograd.backward(loss)
        optimizer.step()
    normal = 1 + math.log(2 * math.pi) + math.log(0.5 + 0.01)
    assert loss.item() < normal - 0.4
    drawn = flow.eval().sample(400, generator=torch.Generator().manual_seed(1))
    assert drawn.norm(dim=1).median().item() == pytest.approx(1, abs=0.15)


def test_the_plugin_offers_tarflow() -> None:
    (entry,) = arbench_entries
    assert (entry.name, entry.network) == ("tarflow", "arbench_tarflow.network:TarFlow")
