"""Configurations: every recipe can be built without memory, and nothing hostile is believed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forging import forge
from torch import Tensor

import arbench
from arbench.data.dataset import Dataset
from arbench.data.tasks import Split, SplitName, Task, open_task
from arbench.errors import CheckpointError, ConfigError, DataError
from arbench.files.tensors import load_tensors
from arbench.probability.events import Discrete, EventSpec, Mixed, Real
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.registry.manager import registry
from arbench.registry.source import recipe_names
from arbench.runs import config as config_module
from arbench.runs.config import LayoutConfig, assemble
from arbench.runs.request import RunRequest, resolve
from arbench_made.network import MADE

RECIPES = [
    (model, recipe)
    for model, registered in registry().models.items()
    for recipe in recipe_names(registered.entry.recipes or "")
]


@pytest.mark.parametrize(("model", "recipe"), RECIPES, ids="/".join)
def test_every_recipe_builds_on_the_meta_device_to_the_same_shapes(
    model: str, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The data are not needed to build a network, and most of them are not here.
    monkeypatch.setattr(Dataset, "sha256", "0" * 64)
    monkeypatch.setattr(Dataset, "require_likelihood", lambda *parts: None)
    tiny = "toy-ar1" if model in ("rnade", "tarflow") else "toy-ising"
    # A quick recipe is named after its task and its minutes.
    task = open_task(tiny if recipe == "default" else re.sub(r"-\d+m$", "", recipe))
    config, _ = resolve(RunRequest(task=task.name, model=model, recipe=recipe), task)
    shapes = assemble(config, device="meta").network.state_dict()
    real = assemble(config).network.state_dict()
    assert {k: (v.shape, v.dtype) for k, v in shapes.items()} == {
        k: (v.shape, v.dtype) for k, v in real.items()
    }
    assert all(v.device.type == "meta" for v in shapes.values())


IMAGE, ROW = EventSpec((2, 1, 2), Discrete(5)), EventSpec((3,), Real())
LAYOUTS = [
    (
        Layout(IMAGE, sites="pixel"),
        {
            "event": {
                "shape": [2, 1, 2],
                "domain": {"kind": "discrete", "size": 5, "bin_width": None},
            },
            "sites": "pixel",
            "order": None,
        },
    ),
    (
        Layout(ROW, order=[2, 0, 1]),
        {
            "event": {"shape": [3], "domain": {"kind": "real", "size": None, "bin_width": None}},
            "sites": "dim",
            "order": [2, 0, 1],
        },
    ),
    (
        Layout(EventSpec((1,), Real(0.1)), order=[0]),
        {
            "event": {"shape": [1], "domain": {"kind": "real", "size": None, "bin_width": 0.1}},
            "sites": "dim",
            "order": None,
        },
    ),
    (
        Layout(EventSpec((2,), Mixed((Discrete(3), Real()))), order=[1, 0]),
        {
            "event": {
                "shape": [2],
                "domain": {
                    "kind": "mixed",
                    "dims": [
                        {"kind": "discrete", "size": 3, "bin_width": None},
                        {"kind": "real", "size": None, "bin_width": None},
                    ],
                },
            },
            "sites": "dim",
            "order": [1, 0],
        },
    ),
]


@pytest.mark.parametrize(("layout", "expected"), LAYOUTS)
def test_a_layout_is_kept_word_for_word_and_built_again(
    layout: Layout, expected: dict[str, Any]
) -> None:
    text = LayoutConfig.of(layout).model_dump_json()
    assert json.loads(text) == expected
    again = LayoutConfig.model_validate_json(text).build()
    assert (again.spec, again.sites, again.grid) == (layout.spec, layout.sites, layout.grid)
    assert torch.equal(again.permutation, layout.permutation)


def test_a_loaded_ensemble_is_in_evaluation_mode(tmp_path: Path) -> None:
    settings = {"alternative": "dropout", "hidden": [8], "dropout": 0.5, "num_masks": 3}
    run = arbench.run(
        *("toy-markov", "made"), settings=settings, epochs=1, limit=200, out=tmp_path / "run"
    )
    model = arbench.load(run.path)
    assert not any(module.training for module in model.modules())
    events = open_task("toy-markov").load("test").events[:5]
    assert torch.equal(model.log_prob(events), model.log_prob(events))


def test_copies_are_trained_kept_and_averaged(tmp_path: Path) -> None:
    run, one = (
        arbench.run(
            *("toy-markov", "lstm"),
            settings={"hidden": 8, "num_copies": count},
            epochs=1,
            limit=200,
            out=tmp_path / str(count),
        )
        for count in (2, 1)
    )
    assert (run.record.model.num_copies, one.record.model.num_copies) == (2, 1)
    assert run.record.model.num_parameters == 2 * (one.record.model.num_parameters or 0)
    model = arbench.load(run.path)
    assert isinstance(model, Model)
    test = open_task("toy-markov").load("test").first(200)
    single = [Model(network, model.head, model.layout) for network in model.network.networks]
    with torch.no_grad():
        by_copy = torch.stack([m.site_log_probs(test.events) for m in single]).double()
    weights = [dict(m.named_parameters()) for m in single]
    assert not any(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    expected = by_copy.exp().mean(0).log().sum(1)
    stored = load_tensors(run.path / "per_event.safetensors")["likelihood:log_prob"]
    torch.testing.assert_close(stored, expected, rtol=0, atol=1e-4)


class Inked(Task):
    """Says binary; its validation events have ink at 255."""

    name, version, spec = "toy-markov", "1", open_task("toy-markov").spec

    def load(self, split: SplitName) -> Split:
        ink = 255 if split == "validation" else 0
        return Split(torch.full((4, 32), ink, dtype=torch.uint8))


class InkedView(Inked):
    """Only what training sees is wrong."""

    def load(self, split: SplitName) -> Split:
        return Split(torch.zeros((4, 32), dtype=torch.uint8))

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        return events + 2


@pytest.mark.parametrize(("task", "split"), [(Inked, "validation"), (InkedView, "train")])
def test_events_outside_the_domain_are_never_trained_on_nor_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: type[Task], split: str
) -> None:
    monkeypatch.setattr("arbench.runs.experiment.open_task", lambda text: task())
    with pytest.raises(DataError, match=rf"{split}: event 0, dim 0: found .*integers in \[0, 2\)"):
        arbench.run(
            "toy-markov",
            "made",
            settings={"alternative": "dropout", "hidden": [8]},
            out=tmp_path / "run",
        )


def test_a_fit_is_timed_measured_and_has_no_budget(tmp_path: Path) -> None:
    run = arbench.run("toy-ising", "cpt", limit=500, out=tmp_path / "run")
    assert run.record.training.seconds > 0
    (line,) = [json.loads(text) for text in (run.path / "metrics.jsonl").open()]
    assert line["validation_nats_per_event"] == run.record.splits["validation"].nats_per_event
    with pytest.raises(ConfigError, match="give --epochs, not --budget"):
        arbench.run("toy-ising", "cpt", budget="9s", out=tmp_path / "other")


def test_data_of_ones_own_leave_no_path_and_are_recognised(tmp_path: Path) -> None:
    private = tmp_path / "a-very-private-place-with-a-long-name" / "a-deeper-folder-still"
    private.mkdir(parents=True)
    table = private / "table.csv"
    rows = np.random.default_rng(0).integers(0, 2, (200, 6))
    np.savetxt(table, rows, fmt="%d", delimiter=",")
    run = arbench.run(f"table:{table}", "bernoulli", out=tmp_path / "run")
    for file in run.path.iterdir():
        if file.suffix in (".json", ".md", ".jsonl"):
            assert "private" not in file.read_text()
    with pytest.raises(ConfigError, match="--task table:PATH"):
        arbench.evaluate(run.path)
    again = arbench.evaluate(run.path, task=f"table:{table}")
    assert again.total_nats == run.record.splits["test"].total_nats
    np.savetxt(table, 1 - rows, fmt="%d", delimiter=",")
    with pytest.raises(ConfigError, match="was trained on table-"):
        arbench.evaluate(run.path, task=f"table:{table}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "float16"}, "precision = 'float16'"),
        ({"seed": -1}, "seed = -1"),
        ({"limit": 0}, "limit = 0"),
    ],
)
def test_values_from_python_are_checked_like_those_of_the_command_line(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        arbench.run("toy-markov", "bernoulli", out=tmp_path / "run", **options)  # type: ignore[arg-type]


def test_the_shortest_budget_takes_one_step(tmp_path: Path) -> None:
    run = arbench.run(
        *("toy-markov", "made"),
        settings={"alternative": "dropout", "hidden": [8]},
        budget=1e-6,
        out=tmp_path / "run",
    )
    assert run.record.training.steps == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": [0, 0]}, "exactly once"),
        ({"event": {"shape": [3, 3], "domain": {"kind": "discrete", "size": 2}}}, "shape"),
        ({"event": {"shape": [3], "domain": {"kind": "discrete", "size": None}}}, "has a size"),
        ({"event": {"shape": [1 << 22] * 3, "domain": {"kind": "discrete", "size": 2}}}, "dims"),
    ],
)
def test_an_impossible_layout_is_a_checkpoint_error(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    run = arbench.run("toy-markov", "bernoulli", limit=100, out=tmp_path / "run")
    config = json.loads((run.path / "config.json").read_text())
    config["members"][0]["layout"] |= change
    (run.path / "config.json").write_text(json.dumps(config))
    forge(run.path)
    with pytest.raises(CheckpointError, match=message):
        arbench.load(run.path)


def own_task_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(text: str) -> Task:
        raise FileNotFoundError("the data that say what the events are")

    monkeypatch.setattr(config_module, "open_task", fail)


@pytest.mark.parametrize("task", ["toy-markov-of-others", "table", "table-0123abcd", "toy-markov"])
def test_a_run_on_events_that_nobody_knows_here_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    run = arbench.run("toy-markov", "bernoulli", limit=100, out=tmp_path / "run")
    config = json.loads((run.path / "config.json").read_text())
    (run.path / "config.json").write_text(json.dumps(config | {"task": task}))
    forge(run.path)
    if task == "toy-markov":
        own_task_fails(monkeypatch)
    assert arbench.load(run.path).spec == open_task("toy-markov").spec


SMALL_MADE = {"alternative": "dropout", "hidden": 8, "ensemble.num_masks": 2}


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([-1, 0], "members.0.mask_seed = -1"),
        ([0, None], "each of several members has a mask_seed"),
    ],
)
def test_impossible_mask_seeds_are_a_checkpoint_error(
    tmp_path: Path, seeds: list[int | None], message: str
) -> None:
    run = arbench.run(
        *("toy-markov", "made"), settings=SMALL_MADE, epochs=1, limit=50, out=tmp_path / "run"
    )
    config = json.loads((run.path / "config.json").read_text())
    for member, seed in zip(config["members"], seeds, strict=True):
        member["mask_seed"] = seed
    (run.path / "config.json").write_text(json.dumps(config))
    forge(run.path)
    with pytest.raises(CheckpointError, match=message):
        arbench.load(run.path)


@pytest.mark.parametrize("model", ["bernoulli", "cpt"])
def test_a_fitted_network_serves_only_the_heads_that_it_names(tmp_path: Path, model: str) -> None:
    """A mixture of 21 logistics has as many parameters as a softmax over 63 values."""
    text = tmp_path / "text.txt"
    letters = "".join(map(chr, range(ord("0"), ord("0") + 63)))
    text.write_text(letters * 100)
    task = open_task(f"text:{text}")
    values = {"head": "logistic-mixture", "head.num_components": 21, "neighbours": 0}
    overrides = {key: v for key, v in values.items() if key != "neighbours" or model == "cpt"}
    config, _ = resolve(RunRequest(task=task.name, model=model, overrides=overrides), task)
    with pytest.raises(ConfigError, match="its head is bernoulli or categorical, not logistic"):
        assemble(config)


def test_a_network_that_refuses_an_order_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(network: MADE, layout: Layout, mask_seed: int) -> MADE:
        raise ValueError("not in this order")

    task = open_task("toy-markov")
    config, _ = resolve(RunRequest(task=task.name, model="made", overrides=SMALL_MADE), task)
    monkeypatch.setattr(MADE, "reordered", refuse)
    with pytest.raises(ConfigError, match="made on toy-markov: not in this order"):
        assemble(config)


def test_the_mask_seeds_of_several_members_count_up_from_the_network_s_own() -> None:
    task, masks = open_task("toy-markov"), {}
    for seed in (0, 7):
        overrides = {**SMALL_MADE, "mask_seed": seed, "num_orderings": 2}
        config, _ = resolve(RunRequest(task=task.name, model="made", overrides=overrides), task)
        found = [member.mask_seed for member in config.members]
        assert found == [seed, seed + 1] * 2
        masks[seed] = [member.network.degrees.layer(1) for member in assemble(config).members]
    assert not any(torch.equal(a, b) for a, b in zip(masks[0], masks[7], strict=True))


def test_a_negative_mask_seed_is_refused_also_for_several_members() -> None:
    task = open_task("toy-markov")
    request = RunRequest(task=task.name, model="made", overrides={**SMALL_MADE, "mask_seed": -1})
    with pytest.raises(ConfigError, match="^made on toy-markov: mask_seed is not negative, got -1"):
        resolve(request, task)


def test_a_completion_against_the_order_says_why(tmp_path: Path) -> None:
    settings = {"alternative": "dropout", "hidden": [8], "order": "permuted"}
    run = arbench.run(
        *("toy-markov", "made"), settings=settings, epochs=1, limit=100, out=tmp_path / "run"
    )
    known = torch.zeros(32, dtype=torch.bool)
    known[:16] = True
    with pytest.raises(ConfigError, match="not a prefix"):
        arbench.sample(arbench.load(run.path), 2, given=torch.zeros(32), known=known)


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0, 255.0, float("nan")])
def test_a_loaded_model_has_no_likelihood_for_what_is_no_event(
    tmp_path: Path, value: float
) -> None:
    run = arbench.run("toy-markov", "bernoulli", limit=100, out=tmp_path / "run")
    with pytest.raises(ValueError, match=r"expected integers in \[0, 2\)"):
        arbench.load(run.path).log_prob(torch.full((1, 32), value))


def test_python_says_what_is_wrong_as_the_command_line_does() -> None:
    with pytest.raises(ConfigError, match="'tset' is no split; there are train, validation, test"):
        arbench.evaluate("mnist-mini/nade", split="tset")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="num_events must be at least 1, got 0"):
        arbench.sample("mnist-mini/nade", 0)


def test_a_name_can_be_sampled_as_it_can_be_loaded() -> None:
    by_name = arbench.sample("mnist-mini/nade", 2, seed=3)
    assert torch.equal(by_name, arbench.sample(arbench.load("mnist-mini/nade"), 2, seed=3))
