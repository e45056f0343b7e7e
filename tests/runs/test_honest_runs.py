"""Runs of honest models are not refused: every family on every kind of data, tiny and real."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import untimed

import arbench
from arbench.probability.randomness import random_order
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.runs import trained_checks

Rows = list[tuple[str, tuple[str, ...], dict[str, Any], int]]

SEQUENCES = ("bernoulli", "cpt", "fvsbn", "made", "nade", "rnn", "lstm", "gru", "mingru", "gpt")
SEQUENCES += ("s4d", "wavenet", "gated-deltanet", "mamba2")
LETTERS = tuple(name for name in SEQUENCES if name not in ("cpt", "fvsbn", "made", "nade"))
IMAGES = ("pixelcnn", "gated-pixelcnn", "pixelsnail", "pixelrnn", "pixelrnn-row")
ORDERED = {"layout.order": "permuted"}
ORDERINGS = {"ensemble.num_orderings": 2, "ensemble.num_masks": 2}
COPIES = {"ensemble.num_copies": 2}
SHORT = {"stream.context": 64, "stream.stride": 32}
PIXELS = {"layout.sites": "pixel"}
# Task, models, settings and seeds. First those that need no data but what is in the package.
PACKAGED: Rows = [
    ("toy-parity", SEQUENCES, {}, 2),
    ("toy-markov", SEQUENCES, {}, 3),
    ("toy-ising", SEQUENCES[2:] + IMAGES, {}, 1),
    ("toy-markov", ("chow-liu", "ppm", "any-order"), {}, 1),
    ("toy-markov", ("boosted-trees",), {"network.max_trees": 5}, 1),
    ("mnist-mini", ("rnn-nade", "lstm-nade"), {}, 1),
    ("toy-ar1", ("rnade", "gpt", "lstm", "wavenet", "s4d", "tarflow"), {}, 2),
    ("toy-ar1", ("rnade", "gru"), {"head.name": "gaussian"}, 2),
    ("mnist-mini", SEQUENCES + IMAGES, {}, 1),
    ("mnist-mini", ("made", "nade", "fvsbn", "gpt", "lstm"), ORDERED, 1),
    ("toy-ising", ("made",), ORDERINGS, 4),
    ("mnist-mini", ("made",), ORDERINGS, 1),
    ("mnist-mini", ("lstm", "nade"), COPIES, 1),
    ("colour", ("pixelcnn-pp", "pixelsnail"), PIXELS, 1),
    ("colour", ("pixelcnn", "pixelrnn", "lstm"), {}, 1),
]
REAL: Rows = [
    ("names", LETTERS, {}, 3),
    ("shakespeare", ("gpt", "lstm", "gru", "mingru", "s4d", "wavenet", "rnn"), SHORT, 1),
    ("shakespeare", ("lstm",), {**SHORT, **COPIES}, 1),
    ("fsdd", ("wavenet", "s4d", "mingru"), {}, 1),
    ("uci-dna", ("made", "nade", "fvsbn", "bernoulli", "cpt", "gpt"), {}, 1),
    ("uci-mushrooms", ("made", "nade", "fvsbn", "cpt", "lstm"), {}, 1),
    ("uci-nips", ("made", "nade", "fvsbn"), {}, 1),
    ("caltech-silhouettes", SEQUENCES[2:5] + IMAGES, {}, 1),
    ("mnist", SEQUENCES + IMAGES, {}, 1),
    ("mnist-gray", ("pixelcnn-pp", "pixelsnail", "pixelcnn", "lstm"), {}, 1),
    ("mnist-static", SEQUENCES[2:5], {}, 1),
]


@dataclass(frozen=True, eq=False)
class Case:
    """One run."""

    task: str
    model: str
    settings: dict[str, Any]
    seed: int

    def __str__(self) -> str:
        settings = ",".join(f"{k.split('.')[-1]}={v}" for k, v in self.settings.items())
        return f"{self.task}-{self.model}-{settings}-{self.seed}"


def cases(rows: Rows) -> list[Case]:
    """The runs of all rows."""
    return [
        Case(task, model, settings, seed)
        for task, models, settings, seeds in rows
        for model in models
        for seed in range(seeds)
    ]


AT_HAND = cases(PACKAGED)
ALL = AT_HAND + cases(REAL)
# A tenth of all, of those that need no data, the same every day.
TENTH = [AT_HAND[i] for i in random_order(len(AT_HAND), 16)[: len(ALL) // 10]]


@pytest.fixture(scope="session")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of three channels in a file."""
    generator = np.random.default_rng(0)
    low = generator.integers(0, 200, (90, 3, 6, 6))
    path = tmp_path_factory.mktemp("colour") / "pictures.npz"
    splits = np.split((low + generator.integers(0, 50, low.shape)).astype(np.uint8), 3)
    np.savez(path, **dict(zip(("train", "validation", "test"), splits, strict=True)))
    return path


def require_not_refused(
    case: Case, folder: Path, colour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make a run; its checks are as thorough as those of a long one."""
    monkeypatch.setattr("arbench.measure.speed.measure_sampling", untimed)
    monkeypatch.setattr(trained_checks, "SHORT_S", trained_checks.LONG_S)
    network = registry().find(ModelEntry, case.model).load()
    tiny = getattr(network, "tiny_hyperparameters", {})
    run = arbench.run(
        f"images:{colour}" if case.task == "colour" else case.task,
        case.model,
        settings={**tiny, **case.settings},
        epochs=1,
        limit=60,
        seed=case.seed,
        device="cpu",
        out=folder,
    )
    checks = run.record.checks
    assert checks is not None
    assert checks.causality is not None
    assert checks.samples_follow is not None
    for name, check in checks:
        assert check is None or check.value <= check.threshold
        if check is not None:
            print(f"FOUND {case} {name} {check.value:.3g} {check.threshold:g} {check.about}")


@pytest.mark.parametrize("case", TENTH, ids=str)
def test_a_tenth_of_all_honest_runs_is_not_refused(
    case: Case, tmp_path: Path, colour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_not_refused(case, tmp_path / "run", colour, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("case", ALL, ids=str)
def test_no_honest_run_is_refused(
    case: Case,
    tmp_path: Path,
    colour: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if case not in AT_HAND:
        request.getfixturevalue("data_dir")
    require_not_refused(case, tmp_path / "run", colour, monkeypatch)


def test_there_are_enough_of_them_and_of_every_family() -> None:
    assert len(ALL) >= 200
    assert {case.model for case in ALL} == set(registry().models)
