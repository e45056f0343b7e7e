"""`--weights`: the rounded network is another density, with samples and a likelihood of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import arbench
from arbench import api
from arbench.cli import main
from arbench.errors import ConfigError
from arbench.probability.precision import Weights, round_weights

RUN = "mnist-mini/nade"


def test_int8_keeps_255_multiples_a_row_and_leaves_vectors() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(300, 5)
    with torch.no_grad():
        layer.weight[2] = 0
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    round_weights(layer, "int8")
    scale = weight.abs().amax(1, keepdim=True) / 127
    assert torch.equal(layer.bias, bias)
    assert not bool(layer.weight[2].any())
    assert bool(((layer.weight - weight).abs() <= scale * 0.5001).all())
    levels = (layer.weight / scale.clamp(min=1e-30)).detach()
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
    assert levels.abs().max().item() == pytest.approx(127, abs=1e-4)


def test_bfloat16_keeps_8_bits() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(30, 5)
    before = [p.detach().clone() for p in layer.parameters()]
    round_weights(layer, "bfloat16")
    for own, was in zip(layer.parameters(), before, strict=True):
        assert own.dtype == torch.float32
        assert torch.equal(own, was.bfloat16().float())
        assert not torch.equal(own, was)


@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_the_number_and_the_samples_are_of_the_rounded_network(
    weights: Weights, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    density = arbench.load(RUN)
    assert isinstance(density, arbench.Model)
    events = arbench.open_task("mnist-mini").load("test").events[:20]
    exact = -density.log_prob(events).mean().item()
    round_weights(density, weights)
    expected = -density.log_prob(events).mean().item()
    command = ["evaluate", RUN, "--weights", weights, "--limit", "20", "--device", "cpu"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["nats_per_event"]
    assert found == pytest.approx(expected, abs=1e-3)
    assert abs(expected - exact) > 1e-3
    assert main(command) == 0
    assert f"(weights rounded to {weights}: another density)" in capsys.readouterr().out
    place = tmp_path / "samples.png"
    assert main(["sample", RUN, "--weights", weights, "-n", "2", "--out", str(place)]) == 0
    assert place.exists()
    drawn = [api.sample(arbench.load(RUN, weights=weights), 2, method=m) for m in ("step", "whole")]
    assert torch.equal(*drawn)
    assert torch.equal(drawn[0], api.sample(density, 2))


def test_counts_are_not_rounded(tmp_path: Path) -> None:
    run = arbench.run("toy-markov", "bernoulli", limit=20, device="cpu", out=tmp_path / "run")
    with pytest.raises(ConfigError, match="counts and no weights"):
        arbench.load(run.path, weights="int8")
