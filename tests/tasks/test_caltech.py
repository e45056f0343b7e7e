"""Caltech silhouettes: the bytes, the way up, what is 1, and what occurs in two splits."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from scipy.io import loadmat

from arbench.data.tasks import SPLITS, Split, SplitName
from arbench_caltech.silhouettes import FILE, CaltechSilhouettes

SHA256 = {
    "train": "cb0a788db5095e4fbefdfa06cae30029507f2582d76d021ad30a08588774ca76",
    "validation": "1b9c3b942673aed8b85b69d149013de14565a0f7efd9ebf21655d0c4262a66d6",
    "test": "36fc4a2cc67cf73f78af709ed2228bdd1eb9feb6567b0b6a15fe2c80f83eab3f",
}


@pytest.fixture(scope="module")
def splits(data_dir: Path) -> dict[SplitName, Split]:
    return {split: CaltechSilhouettes().load(split) for split in SPLITS}


def test_sizes_and_spec(splits: dict[SplitName, Split]) -> None:
    assert [len(splits[split]) for split in SPLITS] == [4100, 2264, 2307]
    for split in splits.values():
        assert split.events.dtype == torch.uint8
        CaltechSilhouettes.spec.validate(split.events)


def test_events_are_pinned(splits: dict[SplitName, Split]) -> None:
    found = {s: hashlib.sha256(splits[s].events.numpy().tobytes()).hexdigest() for s in SPLITS}
    assert found == SHA256


def test_pixel_by_pixel_from_the_file(splits: dict[SplitName, Split], data_dir: Path) -> None:
    stored = loadmat(data_dir / FILE.path)["val_data"]
    for event in (0, 7, 2263):
        for row, column in ((0, 5), (5, 0), (13, 20), (27, 27)):
            expected = 1 - int(stored[event, column * 28 + row])
            assert splits["validation"].events[event, 0, row, column] == expected


def test_an_umbrella_stands_upright_and_is_the_object(data_dir: Path) -> None:
    """Wide canopy above, narrow stick below, and the corners are background."""
    file = loadmat(data_dir / FILE.path)
    label = 1 + [str(name[0]) for name in file["classnames"][0]].index("umbrella")
    mine = torch.from_numpy(file["train_labels"][:, 0] == label)
    umbrellas = CaltechSilhouettes().load("train").events[mine, 0].double()
    assert umbrellas[:, 4:14].mean() > 3 * umbrellas[:, 18:].mean()
    assert umbrellas[:, 0, 0].mean() < 0.1
    transposed = umbrellas.transpose(1, 2)
    assert not transposed[:, 4:14].mean() > 3 * transposed[:, 18:].mean()


def test_events_in_two_splits_are_as_the_readme_says(splits: dict[SplitName, Split]) -> None:
    test = splits["test"]
    assert test.num_events_also_in(splits["train"]) == 11
    assert test.num_events_also_in(splits["validation"]) == 9
    assert splits["validation"].num_events_also_in(splits["train"]) == 9
