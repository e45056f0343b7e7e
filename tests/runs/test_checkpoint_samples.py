"""`arbench sample` of a run that has not finished, and of sounds longer than one window."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import arbench
from arbench.cli import main
from arbench.errors import CheckpointError, ConfigError, Interrupted
from arbench.runs.loading import load_unfinished
from arbench.show.reporting import Advance, Reporter
from arbench.training.checkpoints import CheckpointStore

SETTINGS = {"hidden": 6, "ema_decay": 0.9, "batch_size": 4, "evaluations": 4}


class StopsAt(Reporter):
    """Sends Ctrl-C once so much of the training is done."""

    def __init__(self, share: float) -> None:
        self.share = share

    @contextmanager
    def bar(self, title: str, *, live: bool = True) -> Iterator[Advance]:
        def advance(share: float, note: str) -> None:
            if title == "training" and share >= self.share:
                self.share = 2.0
                os.kill(os.getpid(), signal.SIGINT)

        yield advance


@pytest.mark.parametrize(("share", "part"), [(0.1, "average"), (0.6, "best")])
def test_samples_of_an_interrupted_run_are_of_its_best_weights_so_far(
    share: float, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        arbench.run(
            "toy-markov", "nade", settings=SETTINGS, epochs=2, limit=40, out=run,
            reporter=StopsAt(share),
        )  # fmt: skip
    loaded = CheckpointStore(run / "checkpoint").load()
    assert loaded is not None
    assembly, step = load_unfinished(run)
    assert step == (loaded[0].best_step if part == "best" else loaded[0].step)
    for name, value in assembly.network.state_dict().items():
        assert torch.equal(value, loaded[1][f"{part}.{name}"])
        others = {"best", "average", "network"} & {each.split(".")[0] for each in loaded[1]}
        assert any(not torch.equal(value, loaded[1][f"{o}.{name}"]) for o in others - {part})
    drawn = arbench.sample(run, 5, seed=3)
    assert torch.equal(drawn, arbench.sample(assembly.density, 5, seed=3))
    assert main(["sample", str(run), "-n", "5", "--out", str(tmp_path / "rows.csv")]) == 0
    assert f"is unfinished: this is its checkpoint, as it was after step {step}" in (
        capsys.readouterr().err
    )
    with pytest.raises(CheckpointError, match="this run is unfinished"):
        arbench.load(run)
    changed = next((run / "checkpoint").glob("step-*.safetensors"))
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="sha256"):
        arbench.sample(run, 1)


def test_of_alternatives_that_are_still_tried_the_best_is_drawn_from(tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = {"batch_size": 4, "evaluations": 2}
    with pytest.raises(Interrupted):
        arbench.run(
            "toy-markov", "fvsbn", settings=settings, epochs=1, limit=40, out=run,
            reporter=StopsAt(1.0),
        )  # fmt: skip
    assert not (run / "checkpoint" / "state.json").exists()
    assert arbench.sample(run, 3).shape == (3, 32)


def test_a_sequence_goes_on_beyond_the_window_of_its_model() -> None:
    layout = arbench.Layout(arbench.EventSpec((24,), arbench.Discrete(7)))
    model = arbench.untrained("rnn", layout, hidden=5)
    long = arbench.sample(model, 3, length=70, seed=1)
    assert long.shape == (3, 70)
    assert torch.equal(long[:, :24], arbench.sample(model, 3, seed=1))
    assert torch.equal(long[:, :50], arbench.sample(model, 3, length=50, seed=1))
    with pytest.raises(ConfigError, match="from its beginning"):
        arbench.sample(model, 1, length=70, given=long[0, :24], known=torch.arange(24) < 9)


def test_sounds_are_as_long_as_the_seconds_say(tmp_path: Path) -> None:
    folder, run, out = tmp_path / "bells", tmp_path / "run", tmp_path / "long.wav"
    folder.mkdir()
    for number in range(6):
        noise = np.random.default_rng(number).uniform(-0.3, 0.3, 2500)
        soundfile.write(folder / f"{number}.wav", noise, 16_000, subtype="PCM_16")
    task = ["--task", f"audio:{folder}", "--device", "cpu"]
    assert main(["run", *task, "--model", "bernoulli", "--out", str(run)]) == 0
    assert main(["sample", str(run), "-n", "2", "--seconds", "0.3", "--out", str(out)]) == 0
    # Each is followed by a quarter of a second of silence.
    assert soundfile.info(out).frames == 2 * (4800 + 4000)
    refused = ["--seconds", "1", "--probabilities"]
    assert main(["sample", str(run), *refused]) == 2
    assert main(["sample", "mnist-mini/nade", "--seconds", "1"]) == 2
