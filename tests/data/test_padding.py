"""Events that differ in length have a likelihood in the raster scan, and in no other order."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import arbench
from arbench.boards.results import keep_result, read_runs
from arbench.cli import main
from arbench.data.dataset import Dataset
from arbench.data.padding import no_likelihood
from arbench.data.streams import StreamTask
from arbench.data.tasks import SPLITS, Split, SplitName, Task
from arbench.errors import ConfigError, DataError
from arbench.hub.card import card_of
from arbench.probability.events import Discrete, EventSpec
from arbench.runs import request as request_module
from arbench.runs.record.record import Record
from arbench.runs.record.versions import upgraded
from arbench.runs.request import RunRequest, resolve
from arbench.show.escaping import markdown

FROZEN = Path(__file__).parents[1] / "runs" / "frozen" / "run-1-padded"
REMEDY = "layout.order=raster and ensemble.num_orderings=1"


class Words(Task):
    """Up to three letters and their end."""

    name = "words"
    version = "1"
    spec = EventSpec((4,), Discrete(4))

    def load(self, split: SplitName) -> Split:
        events = torch.tensor([[1, 2, 0, 0], [3, 0, 0, 0], [1, 1, 2, 0]], dtype=torch.uint8)
        return Split(events, (events == 0).cumsum(1) - (events == 0).long() == 0)


class Once(Words):
    """Words that end in one split alone."""

    def __init__(self, padded: SplitName) -> None:
        self.padded = padded

    def load(self, split: SplitName) -> Split:
        words = super().load(split)
        return words if split == self.padded else Split(words.events)


class Whole(Words):
    """The same, all of it scored: what comes after the end is a symbol like any other."""

    def load(self, split: SplitName) -> Split:
        events = super().load(split).events
        return Split(events, torch.ones_like(events, dtype=torch.bool))


class Colours(Task):
    """Pictures of which red alone counts in some pixels."""

    name = "colours"
    version = "1"
    spec = EventSpec((3, 2, 2), Discrete(4))

    def load(self, split: SplitName) -> Split:
        scored = torch.ones(2, 3, 2, 2, dtype=torch.bool)
        scored[:, 1:, 1, 1] = False
        return Split(torch.zeros(2, 3, 2, 2, dtype=torch.uint8), scored)


class Text(StreamTask):
    """Symbols without an end."""

    name = "symbols"
    version = "1"
    domain = Discrete(3)

    def load_stream(self, split: SplitName) -> Tensor:
        return (torch.arange(60) % 3).to(torch.uint8)


def settle(task: Task, model: str, **overrides: Any) -> None:
    request = RunRequest(
        task=task.name,
        model=model,
        overrides={name.replace("__", "."): value for name, value in overrides.items()},
    )
    resolve(request, task)


@pytest.mark.parametrize("model", ["made", "nade", "lstm"])
@pytest.mark.parametrize(
    "overrides",
    [{"layout__order": "permuted"}, {"layout__order": "permuted", "ensemble__num_orderings": 2}],
)
def test_another_order_is_refused_before_training(model: str, overrides: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{model} on words has no likelihood: .* {REMEDY}$"):
        settle(Words(), model, **overrides)


@pytest.mark.parametrize("split", SPLITS)
def test_padding_in_one_split_is_enough(split: SplitName) -> None:
    with pytest.raises(ConfigError, match=REMEDY):
        settle(Once(split), "made", layout__order="permuted")


def test_several_orders_are_refused_though_the_first_is_the_raster_scan() -> None:
    with pytest.raises(ConfigError, match=REMEDY):
        settle(Words(), "made", ensemble__num_orderings=3)


@pytest.mark.parametrize("overrides", [{}, {"ensemble__num_masks": 3}, {"ensemble__num_copies": 2}])
def test_masks_and_copies_go_with_padding(overrides: dict[str, Any]) -> None:
    settle(Words(), "made", **overrides)


@pytest.mark.parametrize("task", [Whole(), Text()])
def test_orders_go_with_events_of_one_length_and_with_streams(task: Task) -> None:
    settle(
        task,
        "made",
        layout__order="permuted",
        ensemble__num_orderings=2,
        stream__context=4,
        stream__stride=2,
    )


def test_a_pixel_that_is_scored_in_part_is_refused_before_training() -> None:
    settle(Colours(), "gated-pixelcnn")
    with pytest.raises(ConfigError, match=r"all of its dims or none; set layout\.sites=dim"):
        settle(Colours(), "pixelcnn-pp", layout__sites="pixel")


@pytest.mark.parametrize("setting", ["layout.order=permuted", "ensemble.num_orderings=3"])
def test_names_in_another_order_are_refused_and_leave_no_folder(
    setting: str, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = ["run", "--task", "names", "--model", "made", "--set", setting]
    assert main([*arguments, "--epochs", "1", "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(REMEDY)
    assert not out.exists()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run that was trained before the combination was refused: made on names, permuted."""
    return Path(shutil.copytree(FROZEN, tmp_path / "old"))


class FewNames(Task):
    """Names that need no file."""

    name = "names"
    version = "1"
    spec = EventSpec((16,), Discrete(27))

    def load(self, split: SplitName) -> Split:
        lengths = torch.arange(2, 14).unsqueeze(1)
        places = torch.arange(16)
        return Split((places < lengths).to(torch.uint8), places <= lengths)


@pytest.fixture
def old_with_data(old: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same run, as if it had been trained on a few names."""
    monkeypatch.setattr(request_module, "open_as_recorded", lambda config, text: FewNames())
    config = json.loads((old / "config.json").read_text())
    config["data_sha256"] = Dataset(FewNames()).sha256
    (old / "config.json").write_text(json.dumps(config))
    return old


def changed(old: Path, **parts: dict[str, Any]) -> Record:
    """Its record with other values in some of its parts."""
    record = Record.read(old / "record.json")
    parts_now = {
        name: getattr(record, name).model_copy(update=values) for name, values in parts.items()
    }
    return record.model_copy(update=parts_now)


def test_an_old_run_loads_and_samples(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    density = arbench.load(old)
    drawn = arbench.sample(density, 5)
    density.spec.validate(drawn)
    assert main(["sample", str(old), "-n", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_an_old_run_is_shown_carded_and_described_without_its_number(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nats = f"{Record.read(old / 'record.json').splits['test'].bits_per_dim:.4f}"
    assert main(["show", str(old)]) == 0
    shown = capsys.readouterr().out
    assert main(["resume", str(old)]) == 0  # it is finished, so this shows it again
    again = " ".join(capsys.readouterr().out.split())
    card = card_of(old)
    for text in (shown, again, card):
        assert REMEDY in text or markdown(REMEDY) in text
        assert "do not sum to 1" in text
        assert nats not in text
    assert "model-index" not in card
    assert "nats" not in card


def test_an_old_run_is_on_no_board_compared_with_nothing_and_pushed_nowhere(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # a request would be another error
    results, left_out = read_runs(old.parent)
    assert results == []
    assert REMEDY in left_out[0]
    with pytest.raises(ConfigError, match=REMEDY):
        keep_result(old, tmp_path / "records")
    with pytest.raises(DataError, match=REMEDY):
        arbench.compare(old, old)
    with pytest.raises((ConfigError, DataError), match=REMEDY):
        arbench.push(old, "me/names")
    with pytest.raises(ConfigError, match=REMEDY):
        arbench.push_board("me/board", [old])


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "RUN"],
        ["verify", "RUN"],
        ["show", "RUN", "--heatmap"],
        ["resume", "RUN"],
    ],
)
def test_an_old_run_is_not_evaluated_and_the_line_says_why(
    command: list[str],
    old_with_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "resume" in command:
        (old_with_data / "record.json").unlink()  # as if it had been killed
    arguments = [str(old_with_data) if word == "RUN" else word for word in command]
    assert main(arguments) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.endswith(REMEDY)


def test_what_a_record_lacks_for_a_likelihood_is_read_off_it(old: Path) -> None:
    assert no_likelihood(upgraded(json.loads((old / "record.json").read_text()))) is not None
    raster = changed(old, model={"layout": "raster by dim"})
    several = changed(old, model={"layout": "3 orderings, the first raster by dim"})
    assert raster.no_likelihood is None
    assert several.no_likelihood is not None
    # Every dim is scored, as where events are all of one length.
    whole = raster.model_dump()
    whole["model"]["layout"] = "permuted (seed 0) by dim"
    likelihood = whole["measurements"]["likelihood"]
    for split in (likelihood["validation"], likelihood["test"]):
        split["num_dims"] = split["num_events"] * whole["task"]["num_dims"]
    assert no_likelihood(whole) is None
    # The windows of a stream score a part of their symbols each, and have no padding.
    windows = changed(old).model_dump()
    windows["measurements"]["likelihood"]["windows"] = {"context": 16, "stride": 8}
    assert no_likelihood(windows) is None
