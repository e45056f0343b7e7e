"""The training loop, step by step against the formulas it stands for."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from arbench.data.tasks import Split, SplitName, Task
from arbench.errors import CheckpointError
from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import Bernoulli
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.probability.randomness import derive_seed
from arbench.show.reporting import Reporter
from arbench.training.batches import TrainingBatches
from arbench.training.checkpoints import CheckpointStore, Progress
from arbench.training.devices import make_accelerator
from arbench.training.pace import fraction_done
from arbench.training.recipes import TrainingRecipe
from arbench.training.trainer import Objective, Trainer

CPU = torch.device("cpu")
ONES = 12  # of 16 train events


class Coins(Task):
    """One dim; three quarters of train are ones, and half of the other splits."""

    name, version, spec = "coins", "1", EventSpec((1,), Discrete(2))

    def load(self, split: SplitName) -> Split:
        return Split((torch.arange(16) < (ONES if split == "train" else 8)).long()[:, None])


class Coin(nn.Module):
    """The logit of a one, of which mean nats have the gradient sigmoid(logit) - share of ones."""

    def __init__(self, logit: float = 0.0) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor([logit]))

    def forward(self, sites: Tensor) -> Tensor:
        return self.logit.expand(len(sites), 1, 1)


class Watched(Trainer):
    """A trainer that keeps the weights before the first step and after each, and the rates."""

    def watch(self) -> list[list[Tensor]]:
        self.seen, self.rates = [self._weights()], list[float]()
        self.run()
        return self.seen

    def _weights(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.network.parameters()]

    def _step(self, fraction: float) -> None:
        super()._step(fraction)
        self.seen.append(self._weights())
        self.rates.append(self.rate)


def trainer(
    folder: Path, *networks: nn.Module, num_steps: int = 6, batch_size: int = 16, **recipe: Any
) -> Watched:
    """A trainer of an ensemble of networks on coins: SGD at a constant rate, unclipped."""
    task = Coins()
    layout = Layout(task.spec)
    members = [Model(network, Bernoulli(layout), layout) for network in networks]
    density = members[0] if len(members) == 1 else Ensemble(members)
    settings = {"optimizer": "sgd", "learning_rate": 0.5, "schedule": "constant", "clip_norm": 0}
    batches = TrainingBatches(task, task.load("train"), batch_size=batch_size, seed=0, device=CPU)
    return Watched(
        network=nn.ModuleList(networks),
        members=members,
        density=density,
        batches=batches,
        validation=task.load("validation"),
        recipe=TrainingRecipe(**{**settings, "evaluations": 1, **recipe}),
        num_steps=num_steps,
        budget_s=None,
        seed=0,
        compile_loss=None,
        accelerator=make_accelerator("cpu", "float32"),
        store=CheckpointStore(folder / "checkpoint"),
        metrics=folder / "metrics.jsonl",
        reporter=Reporter(),
    )


def test_a_training_lasts_a_number_of_steps_or_of_seconds() -> None:
    assert fraction_done(Progress(step=2, elapsed_s=1e9), num_steps=8, budget_s=None) == 0.25
    assert fraction_done(Progress(step=9), num_steps=8, budget_s=None) == 1.0
    assert fraction_done(Progress(step=10**9, elapsed_s=2.0), num_steps=4, budget_s=8.0) == 0.25
    assert fraction_done(Progress(elapsed_s=9.0), num_steps=16, budget_s=8.0) == 1.0


def gradient(logit: float) -> float:
    """Of the mean nats of a train event."""
    return 1 / (1 + math.exp(-logit)) - ONES / 16


def nats(logit: float) -> float:
    """Mean nats of a validation event, half of which are ones."""
    return math.log1p(math.exp(logit)) - logit / 2


def test_a_step_goes_down_the_gradient_of_nats_per_dim(tmp_path: Path) -> None:
    """Momentum is 0.9: the velocity is 0.9 times the one before, plus the gradient."""
    seen = trainer(tmp_path, Coin()).watch()
    logit, velocity = 0.0, 0.0
    for (found,) in seen:
        assert found.item() == pytest.approx(logit, abs=1e-6)
        velocity = 0.9 * velocity + gradient(logit)
        logit -= 0.5 * velocity


@pytest.mark.parametrize(
    ("schedule", "warmup", "factors"),
    [
        ("constant", 0.0, [1, 1, 1, 1]),
        ("linear", 0.0, [1, 0.75, 0.5, 0.25]),
        ("linear", 0.5, [1e-3, 0.5, 1, 0.5]),
    ],
)
def test_the_schedule_is_laid_over_the_steps(
    tmp_path: Path, schedule: str, warmup: float, factors: list[float]
) -> None:
    own = trainer(tmp_path, Coin(), num_steps=4, schedule=schedule, warmup=warmup)
    own.watch()
    assert own.rates == [pytest.approx(0.5 * factor) for factor in factors]


@pytest.mark.parametrize(("clip_norm", "share"), [(0.1, 0.4), (0.25, 1), (10, 1), (0, 1)])
def test_a_gradient_longer_than_clip_norm_is_cut_to_it(
    tmp_path: Path, clip_norm: float, share: float
) -> None:
    """The first gradient is -0.25; a `clip_norm` of 0 cuts nothing."""
    before, after = trainer(tmp_path, Coin(), num_steps=1, clip_norm=clip_norm).watch()
    assert (after[0] - before[0]).item() == pytest.approx(0.5 * 0.25 * share, rel=1e-5)


def test_clipping_is_by_the_norm_of_all_weights_together(tmp_path: Path) -> None:
    class Two(Coin):
        def __init__(self) -> None:
            super().__init__()
            self.other = nn.Parameter(torch.tensor([0.0]))

        def forward(self, sites: Tensor) -> Tensor:
            return super().forward(sites) + self.other

    before, after = trainer(tmp_path, Two(), num_steps=1, clip_norm=0.1).watch()
    moved = torch.cat(after) - torch.cat(before)
    assert moved.tolist() == pytest.approx([0.5 * 0.1 / math.sqrt(2)] * 2, rel=1e-5)


def test_evaluation_and_result_are_of_the_averaged_weights(tmp_path: Path) -> None:
    """The average starts at the first weights and moves by 1 - min(decay, (1 + t) / (10 + t))."""
    own = trainer(tmp_path, Coin(2.0), num_steps=12, ema_decay=0.4, evaluations=4)
    seen = [weights[0].item() for weights in own.watch()]
    averages = [seen[0]]
    for step, logit in enumerate(seen[1:]):
        decay = min(0.4, (1 + step) / (10 + step))
        averages.append(decay * averages[-1] + (1 - decay) * logit)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    assert [line["step"] for line in lines] == [3, 6, 9, 12]
    expected = [nats(averages[line["step"]]) for line in lines]
    found = [line["validation_nats_per_event"] for line in lines]
    assert found == pytest.approx(expected, rel=1e-6)
    assert found != pytest.approx([nats(seen[line["step"]]) for line in lines], rel=1e-3)
    best = lines[min(range(4), key=found.__getitem__)]["step"]
    assert own.progress.best_step == best
    assert own.network[0].logit.item() == pytest.approx(averages[best], rel=1e-6)


def test_the_best_weights_are_kept_and_not_the_last(tmp_path: Path) -> None:
    """Validation is best at a logit of 0, where training begins, and gets worse from there on."""
    own = trainer(tmp_path, Coin(), evaluations=3)
    seen = own.watch()
    assert own.progress.best_step == 2
    assert own.progress.best_nats == pytest.approx(nats(seen[2][0].item()), rel=1e-6)
    assert torch.equal(own.network[0].logit.detach(), seen[2][0])


def _until_patience_ends(folder: Path) -> Watched:
    """Validation is best after the first step; the third in a row that is no better is the last."""
    return trainer(folder, Coin(), evaluations=6, patience=3, checkpoint_seconds=0)


def test_a_training_stops_after_so_many_evaluations_without_a_new_best(tmp_path: Path) -> None:
    own = _until_patience_ends(tmp_path)
    seen = own.watch()
    assert own.progress.step == 4
    assert own.progress.best_step == 1
    assert torch.equal(own.network[0].logit.detach(), seen[1][0])
    found = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    nats_seen = [nats(weights[0].item()) for weights in seen[1:]]
    assert [line["validation_nats_per_event"] for line in found] == pytest.approx(nats_seen)


@pytest.mark.parametrize("patience", [0, 6])
def test_without_patience_or_with_enough_a_training_lasts_all_its_steps(
    tmp_path: Path, patience: int
) -> None:
    own = trainer(tmp_path, Coin(), evaluations=6, patience=patience)
    own.watch()
    assert own.progress.step == 6


@pytest.mark.parametrize("last", [1, 2, 3, 4])
def test_a_resumed_training_has_waited_as_long_as_one_that_was_not_broken_off(
    tmp_path: Path, last: int
) -> None:
    """Broken off after any step, also the last, when all is decided."""

    class BrokenOffError(Exception):
        pass

    class BreakingOff(Watched):
        def _checkpoint(self) -> None:
            super()._checkpoint()
            if self.progress.step == last:
                raise BrokenOffError

    def ends(own: Watched) -> tuple[Progress, Tensor, list[dict[str, float]]]:
        lines = [json.loads(line) | {"seconds": 0} for line in own.metrics.open()]
        times = own.progress.elapsed_s, own.progress.metrics_bytes
        own.progress.elapsed_s = own.progress.metrics_bytes = 0  # clocks differ
        assert all(times)
        return (
            own.progress,
            own.network[0].logit.detach(),
            [line | {"seconds": 0} for line in lines],
        )

    whole = _until_patience_ends(tmp_path / "whole")
    (tmp_path / "whole").mkdir()
    whole.watch()
    own = _until_patience_ends(tmp_path)
    given = [each.name for each in fields(own) if each.init]
    broken = BreakingOff(**{name: getattr(own, name) for name in given})
    with pytest.raises(BrokenOffError):
        broken.watch()
    resumed = _until_patience_ends(tmp_path)
    resumed.watch()
    assert ends(resumed) == ends(whole)


def test_the_last_checkpoint_is_of_the_end_of_training(tmp_path: Path) -> None:
    """A run that is killed while it measures trains nothing anew."""
    own = trainer(tmp_path, Coin(), evaluations=3)
    own.watch()
    loaded = own.store.load()
    assert loaded is not None
    assert loaded[0] == own.progress
    assert loaded[0].step == 6


def test_a_line_of_metrics_has_the_mean_nats_of_training_since_the_last(tmp_path: Path) -> None:
    """Each before its step; batches of 12 and of 4 events count by their events."""
    own = trainer(tmp_path, Coin(), num_steps=8, batch_size=12, evaluations=2)
    seen = [weights[0].item() for weights in own.watch()]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    assert [(line["step"], line["epoch"]) for line in lines] == [(4, 2.0), (8, 4.0)]
    totals = []
    for step, logit in enumerate(seen[:-1]):
        values = own.batches.batch(step).events.double()
        totals.append((math.log1p(math.exp(logit)) - logit * values).sum().item())
    for index, line in enumerate(lines):
        expected = sum(totals[4 * index : 4 * index + 4]) / 32
        assert line["train_nats_per_event"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("domain", "bits"),
    [(Discrete(2), "2.0000 bits/dim, "), (Real(0.25), "4.0000 bits/dim, "), (Real(None), "")],
)
def test_a_watcher_is_told_of_the_best_validation(
    tmp_path: Path, domain: Discrete | Real, bits: str
) -> None:
    """Of 4 events with 6 scored dims in all, an event of 3 bits has 2 bits per dim."""
    made = trainer(tmp_path, Coin())
    assert made._note() == "validation: not yet"
    made.density.spec = EventSpec((2,), domain)
    scored = torch.tensor([[True, True], [True, True], [True, False], [False, True]])
    made.validation = Split(torch.zeros(4, 2), scored)
    made.progress.best_nats = 3 * math.log(2)
    assert made._note() == f"best validation {bits}2.08 nats"


def test_the_randomness_of_a_step_is_keyed_by_seed_and_step_alone(tmp_path: Path) -> None:
    """So that a training that is resumed drops the same units as one that is not."""
    seeds = []

    class Dropping(Coin):
        def forward(self, sites: Tensor) -> Tensor:
            if self.training:
                seeds.append(torch.initial_seed())
                torch.rand(len(seeds))  # as many draws as there were steps
            return super().forward(sites)

    trainer(tmp_path, Dropping(), num_steps=3).watch()
    assert seeds == [derive_seed(0, "step", step, 0) for step in range(3)]


def test_step_s_trains_member_s_modulo_their_number(tmp_path: Path) -> None:
    seen = trainer(tmp_path, Coin(0.0), Coin(1.0), Coin(2.0), num_steps=7).watch()
    for step in range(7):
        moved = [not torch.equal(a, b) for a, b in zip(seen[step], seen[step + 1], strict=True)]
        assert moved == [member == step % 3 for member in range(3)]


def test_the_objective_is_the_weighted_nats_of_the_member_asked_for() -> None:
    layout = Layout(Coins.spec)
    logits = [0.0, 1.0, -2.0]
    objective = Objective([Model(Coin(x), Bernoulli(layout), layout) for x in logits])
    events, weights = torch.tensor([[1], [0], [1]]), torch.tensor([1.0, 1.0, 0.0])
    for member, logit in enumerate(logits):
        expected = 2 * math.log1p(math.exp(logit)) - logit
        found = objective(events, None, weights, member).item()
        assert found == pytest.approx(expected, rel=1e-6)


class TwoWays(Coin):
    """A coin that computes in the first or the second way, and counts."""

    forward_kernels = ("first", "second")

    def __init__(self) -> None:
        super().__init__()
        self.forward_kernel = "second"
        self.used: list[str] = []

    def forward(self, sites: Tensor) -> Tensor:
        self.used.append(self.forward_kernel)
        return super().forward(sites)


def two_ways(folder: Path, kernel: str, **settings: Any) -> tuple[Watched, TwoWays]:
    network = TwoWays()
    network.forward_kernel = kernel
    own = trainer(folder, network, **settings)
    own.network = network
    return own, network


@pytest.mark.parametrize("kernel", TwoWays.forward_kernels)
def test_a_training_goes_on_with_the_kernel_that_it_began_with(tmp_path: Path, kernel: str) -> None:
    own, network = two_ways(tmp_path, kernel, num_steps=2, checkpoint_seconds=0)
    own.watch()
    assert own.progress.kernel == kernel
    assert {*network.used} == {kernel}
    own, network = two_ways(tmp_path, "second", num_steps=4)
    own.watch()
    assert own.progress.kernel == kernel
    assert {*network.used} == {kernel}


def test_a_checkpoint_that_names_no_kernel_goes_on_with_the_oldest(tmp_path: Path) -> None:
    own, _ = two_ways(tmp_path, "second", num_steps=2, checkpoint_seconds=0)
    own.watch()
    loaded = own.store.load()
    assert loaded is not None
    progress, tensors, _ = loaded
    progress.kernel = None  # as an arbench wrote it that knew of none
    own.store.save(progress, tensors)
    own, network = two_ways(tmp_path, "second", num_steps=4)
    own.watch()
    assert {*network.used} == {"first"}


def test_a_kernel_that_the_network_does_not_have_is_refused(tmp_path: Path) -> None:
    own, _ = two_ways(tmp_path, "third", num_steps=2, checkpoint_seconds=0)
    own.watch()
    own, _ = two_ways(tmp_path, "second", num_steps=4)
    with pytest.raises(CheckpointError, match="no kernel 'third'"):
        own.watch()
