"""Ensembles of orders whose members have weights of their own: `shared_weights = false`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import chisquare

import arbench
from arbench.data.tasks import Split, SplitName, Task
from arbench.files.tensors import load_tensors
from arbench.probability.events import Discrete, EventSpec
from arbench.runs.config import Assembly, assemble
from arbench.runs.request import RunRequest, resolve
from arbench.testing.toys import all_events

TWO_ORDERS = {"num_orderings": 2, "num_copies": 2, "shared_weights": False}


class Five(Task):
    """Five dims of three values."""

    name, version, spec = "five", "1", EventSpec((5,), Discrete(3))

    def load(self, split: SplitName) -> Split:
        return Split(torch.zeros(2, 5).long())


def _assembled(model: str, **settings: Any) -> Assembly:
    overrides = {**TWO_ORDERS, **settings}
    config, _ = resolve(RunRequest(task="five", model=model, overrides=overrides), Five())
    torch.manual_seed(0)
    made = assemble(config)
    made.density.double().eval()
    return made


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("nade", {"hidden": 4}),
        ("lstm", {"hidden": 4}),
        ("made", {"hidden": [6], "num_masks": 2}),
        ("any-order", {"hidden": [6, 6], "order": "permuted"}),
    ],
)
def test_their_joint_probabilities_are_averaged_and_sum_to_one(
    model: str, settings: dict[str, Any]
) -> None:
    made = _assembled(model, **settings)
    events = all_events(Five.spec)
    with torch.no_grad():
        found = made.density.log_prob(events).exp()
        members = torch.stack([member.log_prob(events).exp() for member in made.members])
    torch.testing.assert_close(found, members.mean(0), rtol=1e-10, atol=0)
    assert found.sum().item() == pytest.approx(1, abs=1e-9)
    assert len({tuple(member.layout.permutation.tolist()) for member in made.members}) == 2


def test_samplers_give_equal_samples_for_equal_noise() -> None:
    density = _assembled("nade", hidden=4).density
    noise = density.draw_noise(60, torch.Generator().manual_seed(1))
    drawn = [density.sample(60, noise=noise, method=method) for method in density.samplers]
    assert len(drawn) == 3
    assert all(torch.equal(drawn[0], other) for other in drawn[1:])


def test_completions_follow_the_conditional() -> None:
    """What is a prefix of every order: the first dim, where orders differ behind it."""
    made = _assembled("nade", hidden=4, **{"layout.seed": 2})
    assert made.members[1].layout.permutation[0] == 0
    events = all_events(Five.spec)
    given, known = torch.full((5,), 2), torch.arange(5) < 1
    drawn = made.density.sample(
        8000, generator=torch.Generator().manual_seed(0), given=given, known=known
    )
    assert bool((drawn[:, 0] == 2).all())
    probs = made.density.log_prob(events).exp().detach()
    probs = torch.where(events[:, 0] == 2, probs, 0.0)
    counts = (drawn[:, None] == events).all(-1).sum(0)
    assert chisquare(counts[probs > 0], 8000 * probs[probs > 0] / probs.sum()).pvalue > 1e-4


def test_no_weight_belongs_to_two_members_and_all_are_saved_once() -> None:
    made = _assembled("made", hidden=[6], num_masks=2)
    owned = [{id(p) for p in member.network.parameters()} for member in made.members]
    assert len(owned) == 4
    assert len(set.union(*owned)) == sum(map(len, owned))
    assert {id(p) for p in made.network.parameters()} == set.union(*owned)
    for member in made.members:  # each network is told its own order
        for network in member.network.networks:
            assert torch.equal(network.degrees.permutation, member.layout.permutation)
    layers = [member.network.networks[0].degrees.layer(1).tolist() for member in made.members]
    assert layers[0] == layers[2] != layers[1]  # two masks, each in two orders


def test_a_run_leaves_and_loads_what_it_has_measured(tmp_path: Path) -> None:
    settings = {"hidden": 4, "batch_size": 10, "evaluations": 2, **TWO_ORDERS}
    run = arbench.run(
        *("toy-markov", "nade"), settings=settings, epochs=2, limit=40, out=tmp_path / "run"
    )
    record = json.loads((run.path / "record.json").read_text())
    assert (record["model"]["num_copies"], record["model"]["num_members"]) == (2, 2)
    assert record["model"]["layout"] == "2 orderings, the first raster by dim"
    assert record["model"]["num_parameters"] == 4 * (32 * 4 + 4 + 32 * 4 + 32)
    loaded = arbench.load(run.path)
    events = arbench.open_task("toy-markov").load("test").events[:40]
    kept = load_tensors(run.path / "per_event.safetensors")["likelihood:log_prob"]
    with torch.no_grad():
        torch.testing.assert_close(loaded.log_prob(events), kept, rtol=1e-5, atol=1e-5)
