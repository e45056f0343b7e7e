"""What a measurement is handed: no more than it reads, and everything opened is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from asked import Biased, Words
from torch import Tensor

from arbench import ConfigError, Context, DataError, Handed, PluginError
from arbench.data.dataset import Dataset
from arbench.measure.context import tensors_sha256


def words(limit: int | None = None) -> Dataset:
    """A dataset of words."""
    return Dataset(Words(), limit=limit)


def context(folder: Path, **more: Any) -> Context:
    given: dict[str, Any] = {
        "name": "mean",
        "version": "1",
        "seed": 5,
        "device": torch.device("cpu"),
        "place": folder / "left",
        "shared": lambda split: torch.zeros(3, dtype=torch.float64),
        "data_sha256": "ab" * 32,
        "cache": folder / "cache",
        **more,
    }
    return Context(**given)


def test_only_what_is_read_is_handed_over() -> None:
    handed = Handed(words(), "mean", ("test", "labels:validation"))
    assert len(handed.split("test")) == 40
    assert handed.labels("validation").names == ("zero", "one")
    for ask in (lambda: handed.split("train"), lambda: handed.labels("test")):
        with pytest.raises(PluginError, match="add it to `reads`"):
            ask()
    assert (handed.name, handed.version, handed.unit) == ("words", "3", "dim")
    assert handed.spec == Words.spec
    assert handed.sha256 == words().sha256
    assert handed.has_labels
    assert not handed.has_true_log_prob


class Drawn(Words):
    """Words whose first letter is drawn anew in every epoch."""

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        view = events.clone()
        view[:, 0] = torch.randint(2, (len(events),), generator=generator)
        return view


def test_train_events_are_as_training_sees_them() -> None:
    stored = Dataset(Drawn()).split("train").events
    handed = Handed(Dataset(Drawn()), "mean", ("train",))
    seen = handed.training_events()
    assert torch.equal(seen.events[:, 1:], stored[:, 1:])
    assert not torch.equal(seen.events, stored)
    assert torch.equal(seen.events, handed.training_events().events)
    assert torch.equal(Handed(words(), "mean", ("train",)).training_events().events, stored)
    with pytest.raises(PluginError, match="add it to `reads`"):
        Handed(Dataset(Drawn()), "mean", ("test",)).training_events()


def test_labels_are_of_the_events_handed_over_and_are_written_down() -> None:
    handed = Handed(words(limit=7), "mean", ("test", "labels:test"))
    labels = handed.labels("test").values
    assert len(labels) == len(handed.split("test")) == 7
    assert handed.opened == {"labels:test": tensors_sha256({"values": labels})}


def test_a_generator_is_of_the_seed_the_measurement_and_the_purpose(tmp_path: Path) -> None:
    def drawn(purpose: str, *key: int, **more: Any) -> float:
        return float(torch.rand((), generator=context(tmp_path, **more).generator(purpose, *key)))

    assert drawn("samples") == drawn("samples")
    others = [
        drawn("noise"),
        drawn("samples", 1),
        drawn("samples", seed=6),
        drawn("samples", name="cost"),
    ]
    assert len({drawn("samples"), *others}) == 5
    assert drawn("samples", version="2") == drawn("samples")


def test_log_probs_are_shared_and_nobody_changes_them_for_others(tmp_path: Path) -> None:
    kept: dict[str, Tensor] = {"test": torch.zeros(3, dtype=torch.float64)}
    made = context(tmp_path, shared=kept.__getitem__, reads=("test",))
    made.log_probs("test").add_(1)
    assert kept["test"].sum() == 0
    with pytest.raises(PluginError, match="does not say that it reads it"):
        made.log_probs("train")


def test_what_is_opened_is_written_down_with_its_hash(tmp_path: Path) -> None:
    data, density = words(), Biased()
    made = context(
        tmp_path,
        open_dataset=lambda text: data,
        load_density=lambda text: (density, "mnist/nade", "2" * 64),
    )
    assert made.opened == {}
    assert made.open("words") is data
    assert made.load("./some/folder") is density
    assert made.opened == {"words": data.sha256, "mnist/nade": "2" * 64}
    with pytest.raises(ConfigError, match="nothing else can be opened here"):
        context(tmp_path).open("words")


def test_an_artifact_is_built_once_per_dataset_and_of_nothing_else(tmp_path: Path) -> None:
    builds: list[str] = []

    def build(generator: torch.Generator) -> dict[str, Tensor]:
        builds.append("built")
        return {"w": torch.rand(3, generator=generator)}

    first = context(tmp_path)
    kept = first.artifact("classifier", build)
    kept["w"].zero_()
    again = context(tmp_path, seed=9)
    same = again.artifact("classifier", build)["w"]
    assert torch.equal(same, first.artifact("classifier", build)["w"])
    assert bool((same > 0).all()), "somebody changed it for others"
    assert len(builds) == 1
    assert first.opened == again.opened
    assert list(first.opened) == ["artifact:classifier"]
    others = [
        {"data_sha256": "cd" * 32},
        {"version": "2"},
        {"name": "cost"},
        {"data_part": "limit 3"},
    ]
    drawn = [context(tmp_path, **other).artifact("classifier", build)["w"] for other in others]
    drawn.append(context(tmp_path).artifact("hidden=3", build)["w"])
    assert len(builds) == 6
    assert not any(torch.equal(same, other) for other in drawn)


def test_a_damaged_artifact_is_built_anew_and_one_without_a_cache_is_not_kept(
    tmp_path: Path,
) -> None:
    def build(generator: torch.Generator) -> dict[str, Tensor]:
        return {"w": torch.rand(3, generator=generator)}

    first = context(tmp_path).artifact("classifier", build)["w"]
    (file,) = (tmp_path / "cache" / "artifacts").iterdir()
    file.write_bytes(b"no tensors")
    assert torch.equal(context(tmp_path).artifact("classifier", build)["w"], first)
    alone = context(tmp_path / "other", cache=None)
    assert torch.equal(alone.artifact("classifier", build)["w"], first)
    assert alone.opened == context(tmp_path).opened | alone.opened
    assert not (tmp_path / "other").exists()


def test_the_folder_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    made = context(tmp_path)
    assert not (tmp_path / "left").exists()
    assert made.folder.is_dir()


def test_labels_have_names() -> None:
    from arbench import Labels

    with pytest.raises(ValueError, match="event 1 has the label 2, and there are 2 names"):
        Labels(torch.tensor([0, 2]), ("zero", "one"))
    with pytest.raises(ValueError, match="labels are int64"):
        Labels(torch.tensor([0.0]), ("zero",))
    assert DataError is not None
