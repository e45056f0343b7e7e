"""A dataset is opened once, loaded once and hashed once, by whatever is done with it."""

from __future__ import annotations

import gc
import hashlib
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from forging import in_format_1
from torch import Tensor

import arbench
from arbench.cli import main
from arbench.data.dataset import Dataset
from arbench.data.labels import Labels
from arbench.data.streams import StreamTask, Windows
from arbench.data.tasks import SPLITS, Split, SplitName, Task, open_task
from arbench.errors import ConfigError, DataError, Interrupted
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.layouts import Layout
from arbench.runs import experiment
from arbench.runs.record import plausibility
from arbench.training.trainer import Trainer

EACH_ONCE = Counter(dict.fromkeys(SPLITS, 1))
QUICK: dict[str, Any] = {
    "settings": {"hidden": [8], "alternative": "dropout"},
    "epochs": 1,
    "limit": 60,
    "device": "cpu",
}


class Counted(Task):
    """Events of 4 dims whose last may be padding; says what was loaded."""

    name, version, spec, group = "counted", "1", EventSpec((4,), Discrete(2)), "pair"

    def __init__(self) -> None:
        self.loads: Counter[str] = Counter()

    def load(self, split: SplitName) -> Split:
        self.loads[split] += 1
        generator = torch.Generator().manual_seed(len(split))
        events = torch.randint(2, (40, 4), generator=generator, dtype=torch.uint8)
        scored = torch.ones(40, 4, dtype=torch.bool)
        scored[30:, 3] = split != "train"
        return Split(events, scored, torch.arange(40) // 2)


class Text(StreamTask):
    """Some symbols; says what was loaded."""

    name, version, domain = "symbols", "1", Discrete(5)

    def __init__(self) -> None:
        self.loads: Counter[str] = Counter()

    def load_stream(self, split: SplitName) -> Tensor:
        self.loads[split] += 1
        return (torch.arange(50) * len(split) % 5).to(torch.uint8)


class Viewed(Counted):
    """Training sees other events than those that are stored, which are none of the spec."""

    def load(self, split: SplitName) -> Split:
        stored = super().load(split)
        return Split(stored.events + 7 * (split == "train"))

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        return events - 7


def by_hand(task: Task) -> str:
    """The hash as it has always been, of a task that loads every split anew."""
    digest = hashlib.sha256()
    for name in SPLITS:
        split = task.load(name)
        for tensor in (split.events, split.scored):
            if tensor is not None:
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def test_hash_and_events_come_from_one_load() -> None:
    for first in (*SPLITS, None):  # whatever is asked for before the hash
        dataset = Dataset(task := Counted())
        if first is not None:
            dataset.split(first)
        assert dataset.sha256 == by_hand(Counted())
        for name in (*SPLITS, *SPLITS):
            expected = Counted().load(name)
            assert dataset.split(name).events.equal(expected.events)
            assert dataset.split(name).groups is not None
        assert task.loads == EACH_ONCE


def test_a_limit_cuts_the_events_and_not_the_hash() -> None:
    dataset = Dataset(Counted(), limit=7)
    train, whole = dataset.split("train"), Counted().load("train")
    assert dataset.sha256 == by_hand(Counted())
    assert train.events.equal(whole.events[:7])
    assert train.scored is not None
    assert train.scored.equal(whole.scored[:7])  # type: ignore[index]
    assert train.groups is not None
    assert train.groups.tolist() == [0, 0, 1, 1, 2, 2, 3]


def test_the_windows_of_a_stream_and_its_hash_come_from_one_load() -> None:
    dataset = Dataset(task := Text(), context=12, stride=5)
    assert (dataset.windows, dataset.task.spec) == (Windows(12, 5), EventSpec((12,), Discrete(5)))
    for name in SPLITS:
        split, expected = dataset.split(name), Text().windows(12, 5).load(name)
        assert split.events.equal(expected.events)
        assert (split.scored is None) == (expected.scored is None) == (name == "train")
        assert split.is_stream == (name != "train")
    assert dataset.sha256 == by_hand(Text()) == Dataset(Text()).sha256
    assert task.loads == EACH_ONCE


def test_half_the_context_is_the_stride_by_default() -> None:
    assert Dataset(Text(), context=9).windows == Windows(9, 4)
    assert Dataset(Text(), context=1).windows == Windows(1, 1)
    assert Dataset(Counted(), context=9).windows is None


@pytest.mark.parametrize("limit", [None, 3])
def test_what_nobody_needs_leaves_the_memory(limit: int | None) -> None:
    """The whole of a split that was cut, the symbols of a stream, and all of what is dropped."""
    for dataset in (
        Dataset(Counted(), limit=limit),
        Dataset(Text(), context=12, limit=limit),
    ):
        stored = {name: weakref.ref(dataset.stored(name).events) for name in SPLITS}
        storages = {
            name: dataset.stored(name).events.untyped_storage().data_ptr() for name in SPLITS
        }
        test = dataset.split("test").events  # before the hash, which needs the whole
        assert stored["test"]() is not None
        assert dataset.sha256
        validation = dataset.split("validation").events
        dataset.drop("train")
        gc.collect()
        assert stored["train"]() is None
        is_whole = limit is None and dataset.windows is None
        for name, events in (("validation", validation), ("test", test)):
            assert (stored[name]() is None) == (not is_whole)
            assert (events.untyped_storage().data_ptr() == storages[name]) == is_whole


def test_what_was_dropped_is_loaded_again() -> None:
    dataset = Dataset(task := Counted())
    events = dataset.split("test").events
    dataset.drop("test")
    assert dataset.split("test").events.equal(events)
    assert task.loads["test"] == 2


def test_only_events_of_the_task_are_handed_over_but_a_view_is_checked_by_epochs() -> None:
    class Wrong(Counted):
        def load(self, split: SplitName) -> Split:
            return Split(super().load(split).events + 7)

    class Empty(Counted):
        def load(self, split: SplitName) -> Split:
            return super().load(split).first(0)

    for name in SPLITS:
        with pytest.raises(DataError, match=f"counted, {name}: .*does not keep its own spec"):
            Dataset(Wrong()).split(name)
        with pytest.raises(DataError, match=f"counted: its {name} split is empty"):
            Dataset(Empty()).split(name)
    viewed = Dataset(Viewed())
    assert int(viewed.split("train").events.max()) == 8
    viewed.split("test")


def test_padding_is_looked_for_in_all_events_and_never_in_windows() -> None:
    permuted = [Layout(Counted.spec, order=torch.tensor([3, 2, 1, 0]))]
    dataset = Dataset(task := Counted(), limit=5)
    assert dataset.sha256
    with pytest.raises(ConfigError, match="made on counted has no likelihood: .*not sum to 1"):
        dataset.require_likelihood("made", permuted)  # train alone has any
    dataset.require_likelihood("made", [Layout(Counted.spec)])
    assert task.loads == EACH_ONCE
    windows = Dataset(Text(), context=4)
    windowed = [Layout(windows.task.spec, order=torch.tensor([3, 2, 1, 0]))]
    windows.require_likelihood("made", windowed)


# One load for all that a verb does


@pytest.fixture(params=["toy-markov", "text", "table"])
def loads(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SimpleNamespace]:
    """A task by its text, what is loaded of it, and how often it is opened and hashed."""
    text = request.param
    if text == "text":
        (tmp_path / "own.txt").write_text("all that is gold does not glitter " * 60)
        text = f"text:{tmp_path / 'own.txt'}"
    elif text == "table":
        rows = [f"{n % 2},{n // 2 % 2},{n // 4 % 2}" for n in range(400)]
        (tmp_path / "own.csv").write_text("\n".join(rows) + "\n")
        text = f"table:{tmp_path / 'own.csv'}"
    task_class = type(open_task(text))
    found = SimpleNamespace(text=text, loads=Counter(), opened=0, hashed=0)
    name = "load_stream" if issubclass(task_class, StreamTask) else "load"
    load, made = getattr(task_class, name), task_class.__init__
    digest = Dataset.__dict__["sha256"].func

    def counted(task: Task, split: SplitName) -> object:
        found.loads[split] += 1
        return load(task, split)

    def opened(task: Task, *arguments: Any) -> None:
        found.opened += 1
        before = found.loads.copy()
        made(task, *arguments)
        found.loads = before  # a task of the user's own looks at them when it is made

    def hashed(dataset: Dataset) -> str:
        found.hashed += 1
        return digest(dataset)

    monkeypatch.setattr(task_class, name, counted)
    monkeypatch.setattr(task_class, "__init__", opened)
    monkeypatch.setattr(Dataset.__dict__["sha256"], "func", hashed)
    plausibility._dataset_of.cache_clear()
    yield found
    plausibility._dataset_of.cache_clear()


def fresh(loads: SimpleNamespace) -> None:
    loads.loads.clear()
    loads.opened = loads.hashed = 0


def settings_for(text: str) -> dict[str, Any]:
    more = {"stream.context": 8, "stream.stride": 4} if text.startswith("text") else {}
    return QUICK | {"settings": QUICK["settings"] | more}


def task_of(text: str) -> str | None:
    return text if ":" in text else None


def require_once(loads: SimpleNamespace) -> None:
    assert loads.loads == EACH_ONCE
    assert loads.hashed == 1


def test_a_run_its_verification_and_its_evaluation_load_each_split_once(
    loads: SimpleNamespace, tmp_path: Path
) -> None:
    run = arbench.run(loads.text, "made", out=tmp_path / "run", **settings_for(loads.text))
    require_once(loads)
    assert loads.opened == 1
    fresh(loads)
    assert arbench.verify(run.path, task=task_of(loads.text), device="cpu").holds
    require_once(loads)
    fresh(loads)
    again = arbench.evaluate(run.path, task=task_of(loads.text), device="cpu", limit=60)
    assert again == run.record.splits["test"]
    require_once(loads)


@pytest.mark.parametrize("loads", ["toy-markov", "table"], indirect=True)
def test_a_verification_that_binds_loads_each_split_once(
    loads: SimpleNamespace, tmp_path: Path
) -> None:
    run = arbench.run(loads.text, "made", out=tmp_path / "run", **settings_for(loads.text))
    in_format_1(run.path)
    fresh(loads)
    found = arbench.verify(run.path, task=task_of(loads.text), device="cpu")
    assert (found.holds, found.is_bound) == (True, True)
    require_once(loads)


def test_a_resumed_run_loads_each_split_once(
    loads: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(trainer: Trainer) -> None:
        raise Interrupted("stopped", 2)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "run", stop)
        with pytest.raises(Interrupted):
            arbench.run(loads.text, "made", out=tmp_path / "run", **settings_for(loads.text))
    fresh(loads)
    run = arbench.resume(tmp_path / "run", task=task_of(loads.text), device="cpu")
    assert run.record.status == "finished"
    require_once(loads)


def test_a_foreign_density_is_evaluated_on_one_load(
    loads: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = arbench.run(loads.text, "made", out=tmp_path / "run", **settings_for(loads.text))
    model = arbench.load(run.path)
    density = arbench.ForeignDensity(model, spec=model.spec, kind="exact")
    fresh(loads)
    arbench.evaluate_density(density, loads.text, name="other", out=tmp_path / "other", limit=60)
    require_once(loads)


def test_a_test_split_that_is_not_evaluated_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[set[SplitName]] = []
    prepare = experiment._Experiment._prepare

    def watched(self: Any) -> object:
        trainer = prepare(self)
        kept.append({*self.dataset._stored} | {*self.dataset._splits})
        return trainer

    monkeypatch.setattr(experiment._Experiment, "_prepare", watched)
    for number, wanted in enumerate((False, True)):
        out = tmp_path / str(number)
        arbench.run("toy-markov", "made", out=out, evaluate_test=wanted, **QUICK)
    assert kept == [{"train", "validation"}, set(SPLITS)]


@pytest.mark.parametrize("verify", [True, False])
def test_the_data_verb_loads_each_split_once(
    verify: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task_class = type(open_task("toy-parity"))
    load, loads = task_class.load, Counter[str]()

    def counted(task: Task, split: SplitName) -> Split:
        loads[split] += 1
        return load(task, split)

    monkeypatch.setattr(task_class, "load", counted)
    assert main(["data", "toy-parity", *["--verify"] * verify]) == 0
    assert loads == EACH_ONCE
    assert (by_hand(open_task("toy-parity")) in capsys.readouterr().out) == verify


class Labelled(Counted):
    """Events of two kinds."""

    num_labels = 40

    def load_labels(self, split: SplitName) -> Labels:
        return Labels(torch.arange(self.num_labels) % 2, ("even", "odd"))


def test_labels_are_those_of_the_events_that_are_left() -> None:
    assert len(Dataset(Labelled()).labels("test")) == 40
    assert Dataset(Labelled(), limit=3).labels("test").values.tolist() == [0, 1, 0]
    short = Labelled()
    short.num_labels = 39
    with pytest.raises(DataError, match="its test split has 40 events, and 39 labels"):
        Dataset(short).labels("test")
    with pytest.raises(NotImplementedError, match="counted has no labels"):
        Dataset(Counted()).labels("test")


def test_a_part_of_what_is_ordered_by_class_has_all_classes_in_it() -> None:
    classes = torch.arange(10).repeat_interleave(30).unsqueeze(1)
    split = Split(classes, classes > 4, torch.arange(300) // 2)
    part = split.take(split.spread(20))
    assert part.events[:, 0].bincount(minlength=10).tolist() == [2] * 10
    assert part.scored is not None
    assert part.groups is not None
    assert torch.equal(part.scored, part.events > 4)
    assert part.groups.tolist() == [15 * number // 2 for number in range(20)]
    assert split.take(split.spread(300)) is split.take(split.spread(1000)) is split
    assert split.spread(7).tolist() == [300 * number // 7 for number in range(7)]


def test_a_part_of_a_stream_is_its_first_windows() -> None:
    windows = torch.arange(300).unsqueeze(1)
    stream = Split(windows, is_stream=True)
    part = stream.take(stream.spread(40))
    assert part.events[:, 0].tolist() == [*range(40)]
    assert part.is_stream


def test_windows_in_a_row_depend_on_each_other() -> None:
    windows = torch.arange(20).unsqueeze(1)
    dependent = Split(windows, is_stream=True).dependent
    assert dependent is not None
    assert dependent.tolist() == [0] * 8 + [1] * 8 + [2] * 4
    groups = torch.arange(20) % 3
    assert Split(windows, groups=groups).dependent is groups
    assert Split(windows).dependent is None
