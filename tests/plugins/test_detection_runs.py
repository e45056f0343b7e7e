"""Detection of trained models: as a measurement of a run, and `arbench score` on files."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torch import Tensor

from arbench import (
    AudioRendering,
    Categorical,
    DataError,
    Discrete,
    EventSpec,
    ImageRendering,
    Layout,
    Model,
    OwnFiles,
    Real,
    Reporter,
    Split,
    Windows,
    measure_run,
    mu_law,
    open_run,
    verify,
)
from arbench.cli import main
from arbench.hub.snapshots import copy_run
from arbench.testing.toys import LinearNetwork
from arbench_detection import judging
from arbench_detection.background import code_nats
from arbench_detection.evaluation import Progress, log_probs
from arbench_detection.others import Others, comparable, evenly, typical_events
from arbench_detection.own import OwnEvents
from arbench_detection.scores import Reference

pytest.importorskip("matplotlib", reason="install the extra `measure`")
Run = Callable[..., tuple[int, str, str]]
FEW = "detection?num_events=80&num_train=100"


@pytest.fixture
def arbench(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """A command in this process, with no data set and nothing kept: exit code, what it says."""
    monkeypatch.delenv("ARBENCH_DATA", raising=False)
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code or 0, said.out, said.err

    return run


# As a measurement.


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_run(open_run("mnist-mini/nade").folder, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def section(copied: Path) -> Any:
    (name,) = [key for key in measure_run(copied, FEW, device="cpu").measurements if "?" in key]
    return measure_run(copied, FEW, device="cpu").measurements[name]


def test_a_run_keeps_numbers_errors_values_and_pictures(copied: Path, section: Any) -> None:
    rows = {row.case: row for row in section.rows}
    assert rows["log p, blank"].value < 0.1
    assert rows["typicality, blank"].value > 0.9
    assert rows["typicality, uniform"].value == 1
    assert 0 < rows["typicality, mean"].error < 0.02
    assert section.rows[0].case == "typicality, mean"
    table = section.details["table"]
    mean = np.mean([table[name]["typicality"]["auroc"]["value"] for name in table])
    assert section.rows[0].value == pytest.approx(mean)
    assert all(
        0 <= cell["fpr95"]["value"] <= 1 for each in table.values() for cell in each.values()
    )
    pictures = [copied / name for name in section.pictures]
    assert {each.stem for each in pictures} == {"likelihoods", "p-values", "detection"}
    assert all(each.is_file() for each in pictures)
    assert [*section.opened] == ["artifact:background cpt"]


def test_its_number_is_verified(copied: Path, section: Any) -> None:
    found = verify(copied, device="cpu")
    (result,) = [each for each in found.results if each.key.startswith("detection")]
    assert result.holds, result
    assert result.found == section.rows[0].value


def test_other_tasks_and_files_are_outliers_too(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((28, 28), 255, np.uint8)).save("white.png")
    key = "detection?num_events=40&num_train=40&against=mnist-mini,files:white.png,jpeg"
    record = measure_run(copied, key, device="cpu")
    (found,) = [each for name, each in record.measurements.items() if "jpeg" in name]
    table = found.details["table"]
    assert table["mnist-mini"]["log_prob"]["auroc"]["value"] == 0.5, "the very same events"
    assert table["files:white.png"]["log_prob"]["auroc"]["value"] == 1
    assert found.details["num_events"] == {
        "home": 40,
        "mnist-mini": 40,
        "files:white.png": 1,
        "jpeg": 40,
    }
    assert sorted(name[:6] for name in found.opened) == ["artifa", "files-", "mnist-"]
    assert str(tmp_path) not in (copied / "record.json").read_text()


@pytest.mark.parametrize(
    ("against", "code", "reason"),
    [
        ("caltech-silhouettes", 4, "caltech101_silhouettes"),
        ("mnist-gray", 2, "only other events of one spec"),
        ("shakespeare", 2, "is one sequence"),
        ("mnits", 2, "did you mean"),
        ("reversed", 2, "means nothing for this image"),
        ("files:none.png", 3, "found no such file"),
    ],
)
def test_what_is_not_there_or_means_nothing_says_so(
    against: str,
    code: int,
    reason: str,
    copied: Path,
    arbench: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ARBENCH_DATA", str(tmp_path))
    found, _, said = arbench("measure", copied, f"detection?num_events=20&against={against}")
    assert (found, reason in said) == (code, True), said


# `arbench score`.


def rows_of(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as lines:
        return [*csv.DictReader(lines)]


def test_images_of_ones_own_get_a_row_each(arbench: Run, tmp_path: Path) -> None:
    run = open_run("mnist-mini/nade")
    digits = run.dataset().split("test").events[:3]
    folder = tmp_path / "images"
    folder.mkdir()
    for number, digit in enumerate(digits[:, 0].numpy()):
        Image.fromarray(255 * digit.astype(np.uint8)).save(folder / f"{number}.png")
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(folder / "blank.png")
    np.savez(tmp_path / "more.npz", events=digits.numpy())
    out = tmp_path / "scores.csv"
    code, said, told = arbench(
        "score", "mnist-mini/nade", folder, tmp_path / "more.npz", "--csv", out
    )
    assert code == 0, told
    rows = rows_of(out)
    assert [Path(row["file"]).name for row in rows] == [
        *("0.png", "1.png", "2.png", "blank.png", "more.npz", "more.npz", "more.npz")
    ]
    assert [row["event"] for row in rows] == ["", "", "", "", "0", "1", "2"]
    expected = run.density.log_prob(torch.cat([digits, torch.zeros_like(digits[:1]), digits]))
    found = torch.tensor([float(row["log_prob"]) for row in rows]).double()
    assert torch.allclose(found, expected, rtol=1e-6)
    bits = [float(row["bits_per_dim"]) for row in rows]
    assert bits == pytest.approx((-expected / 784 / math.log(2)).tolist(), rel=1e-6)
    blank = rows[3]
    assert 0.9 < float(blank["p_value"]) <= 1
    assert float(blank["typicality"]) > 50
    assert "probability grey level / 255" in told
    assert "blank.png" in said
    before = (tmp_path / "more.npz").read_bytes()
    code, _, told = arbench(
        "score", "mnist-mini/nade", tmp_path / "more.npz", "--csv", tmp_path / "more.npz"
    )
    assert (code, "is a file that is scored" in told) == (2, True), told
    assert (tmp_path / "more.npz").read_bytes() == before


def test_grey_pixels_become_bits_as_the_task_of_the_run_makes_them(
    arbench: Run, tmp_path: Path
) -> None:
    grey = np.tile(np.linspace(0, 255, 28).astype(np.uint8), (28, 1))
    Image.fromarray(grey).save(tmp_path / "grey.png")
    run, out = open_run("mnist-mini/nade"), tmp_path / "scores.csv"
    assert arbench("score", "mnist-mini/nade", tmp_path / "grey.png", "--csv", out)[0] == 0
    own = OwnFiles(run.density.spec, run.rendering, "drawn")
    expected = run.density.log_prob(own.image(tmp_path / "grey.png")[None]).item()
    assert float(rows_of(out)[0]["log_prob"]) == pytest.approx(expected, rel=1e-6)
    assert OwnEvents(EventSpec((1, 28, 28), Discrete(2)), Silhouettes()).binarisation.startswith(
        "Pixels are 1 where the grey level is 128 or more"
    )


class Silhouettes:
    """What has to be known of images whose task has no grey levels."""

    rendering = ImageRendering()
    windows: Windows | None = None
    draws_pixels = False


def test_what_cannot_be_read_is_listed_and_the_rest_is_scored(arbench: Run, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((27, 28), np.uint8)).save(tmp_path / "small.png")
    (tmp_path / "words\x1b[2J.txt").write_text("no image\n")
    (tmp_path / ".hidden").write_text("")
    out = tmp_path / "scores" / "x.csv"
    code, _, told = arbench("score", "mnist-mini/nade", tmp_path, "--csv", out)
    assert (code, "a folder that exists" in told) == (2, True)
    code, said, told = arbench("score", "mnist-mini/nade", tmp_path, tmp_path / "none.png")
    assert code == 3
    assert "a.png" in said
    for reason in ("small.png: found (1, 27, 28)", "found .txt", "none.png: found no such file"):
        assert reason in told
    assert "3 of 4 files could not be read" in told
    assert ".hidden" not in told
    assert "\x1b" not in said + told, "names of files do nothing to a terminal"


def test_without_the_train_data_two_columns_are_empty(arbench: Run, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("anna\nxqzt\n")
    out = tmp_path / "scores.csv"
    code, said, told = arbench("score", "names/lstm", tmp_path / "names.txt", "--csv", out)
    assert code == 0, told
    assert "typicality and p-value are left out, they need the run's data" in told
    first, second = rows_of(out)
    assert [row[key] for row in (first, second) for key in ("typicality", "p_value")] == [""] * 4
    assert float(second["log_prob"]) < float(first["log_prob"]) - 10
    assert first["num_dims"] == "5", "four letters and the end"
    assert said.split()[-2:] == ["-", "-"]


def test_what_is_typical_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(judging, "NUM_TRAIN", 50)
    run = open_run("mnist-mini/nade")
    first = judging.typical_of(run, None, Reporter())
    train = run.dataset().split("train").events[torch.arange(50) * 3500 // 50]
    expected = run.density.log_prob(train).double().sort().values
    assert torch.allclose(first.reference.log_probs, expected, rtol=1e-6)
    (kept,) = (tmp_path / "typical").iterdir()
    kept.write_bytes(b"damaged")
    again = judging.typical_of(run, None, Reporter())
    assert torch.equal(again.reference.log_probs, first.reference.log_probs)
    monkeypatch.setattr(type(run), "dataset", None)
    again = judging.typical_of(run, None, Reporter())
    assert torch.equal(again.reference.log_probs, first.reference.log_probs)
    assert again.num_dims == first.num_dims == 784


def test_a_text_is_scored_as_a_whole(arbench: Run, tmp_path: Path) -> None:
    text = "To be, or not to be: that is the question.\n"
    (tmp_path / "line.txt").write_text(text)
    out = tmp_path / "scores.csv"
    code, _, told = arbench("score", "shakespeare/lstm", tmp_path / "line.txt", "--csv", out)
    assert code == 0, told
    (row,) = rows_of(out)
    run = open_run("shakespeare/lstm")
    symbols: Any = run.rendering.encode(text)  # type: ignore[union-attr]
    padded = torch.cat([symbols.long(), torch.full((run.density.spec.num_dims - len(text),), 7)])
    scored = (torch.arange(len(padded)) < len(text))[None]
    expected = run.density.log_prob(padded[None], scored).item()
    assert float(row["log_prob"]) == pytest.approx(expected, rel=1e-6)
    assert (row["num_dims"], row["p_value"]) == (str(len(text)), "")


class About:
    """What has to be known of sounds."""

    rendering = AudioRendering(sample_rate=8000, companding="mu-law")
    windows: Windows | None = None
    draws_pixels = False


def test_a_sound_is_scored_as_a_whole(tmp_path: Path) -> None:
    amplitudes = np.sin(np.arange(50) / 3)
    soundfile.write(tmp_path / "a.wav", amplitudes, 8000, subtype="DOUBLE")
    layout = Layout(EventSpec((16,), Discrete(256)))
    head = Categorical(layout)
    model = Model(LinearNetwork(layout, head.num_params), head, layout).eval()
    read = OwnEvents(layout.spec, About()).read([tmp_path / "a.wav"])
    typical = judging.Typical(Reference(torch.tensor([-90.0, -80.0]).double(), 85.0), 16)
    (found,) = judging.verdicts(model, read, typical, Reporter())
    levels = torch.from_numpy(mu_law.encode(amplitudes)).long()
    whole = model.log_prob(levels[:48].view(3, 16)).sum().item()
    rest = torch.cat([levels[48:], torch.full((14,), mu_law.SILENCE)])[None]
    whole += model.log_prob(rest, (torch.arange(16) < 2)[None]).item()
    assert (found.num_dims, found.event, found.p_value) == (50, None, None)
    assert found.log_prob == pytest.approx(whole, rel=1e-6)
    assert found.typicality == pytest.approx(abs(-whole - 85 * 50 / 16), rel=1e-6)


def test_only_whole_windows_of_a_sound_are_compared_with_those_of_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left at the end of a recording is short, and likelier for that alone."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("long.wav", np.sin(np.arange(50) / 3), 8000, subtype="DOUBLE")
    soundfile.write("short.wav", np.sin(np.arange(10) / 3), 8000, subtype="DOUBLE")
    home = Split(torch.zeros(4, 16).long(), torch.ones(4, 16, dtype=torch.bool))
    about: Any = About()
    about.spec, about.name, about.unit = EventSpec((16,), Discrete(256)), "speech", "sample"
    context: Any = SimpleNamespace(opened={})
    maker = Others(about, context, home, home, 1000)
    levels = torch.from_numpy(mu_law.encode(np.sin(np.arange(50) / 3))).long()
    assert torch.equal(maker.make("files:long.wav").events, levels[:48].view(3, 16))
    with pytest.raises(DataError, match="scored on 16 samples each, and none of these is"):
        maker.make("files:short.wav")


def test_windows_are_compared_on_what_is_scored_of_them() -> None:
    """The first window of a stream is scored whole, the others where none before them was."""
    about: Any = About()
    about.spec, about.windows = EventSpec((6,), Discrete(256)), Windows(6, 3)
    scored = (torch.arange(6) >= 3).repeat(20, 1)
    scored[0] = True
    stream = Split((torch.arange(120) % 256).view(20, 6), scored, is_stream=True)
    home = evenly(stream, comparable(stream, about), 1000)
    assert torch.equal(home.events, stream.events[1:])
    assert home.groups is not None
    assert home.groups.tolist() == [0] * 7 + [1] * 8 + [2] * 4
    train = typical_events(Split(stream.events), home, about, 10)
    assert train.scored is not None
    assert train.scored.tolist() == [[False] * 3 + [True] * 3] * 10
    codes = code_nats(Split(stream.events[1:, 3:]), EventSpec((3,), Discrete(256)))
    assert torch.equal(code_nats(home, about.spec), codes)
    context: Any = None
    made = Others(about, context, home, train, 1000).make("uniform").events
    assert torch.equal(made[:, :3], home.events[:, :3]), "what is context stays"
    assert not torch.equal(made[:, 3:], home.events[:, 3:])


def test_real_numbers_are_scored_as_they_are(tmp_path: Path) -> None:
    values = np.array([[0.25, -1.75], [3.5, 0.0]], np.float32)
    np.savez(tmp_path / "a.npz", events=values)
    read = OwnEvents(EventSpec((2,), Real()), About()).read([tmp_path / "a.npz"])
    assert read.split.events.tolist() == values.tolist()


def test_a_file_of_the_wrong_kind_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    read = OwnEvents(EventSpec((16,), Discrete(256)), About()).read([tmp_path / "a.png"])
    with pytest.raises(DataError, match="expected an npz archive with the key 'events', or a wav"):
        read.require_all()


# Trained models on real data.


@pytest.mark.slow
@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize("name", ["mnist/nade", "caltech-silhouettes/nade", "names/lstm"])
def test_halves_of_test_agree_and_so_do_two_sets_of_samples(name: str) -> None:
    run = open_run(name)
    own = OwnEvents(run.density.spec, run)

    def found(split: Split) -> Tensor:
        return log_probs(run.density, split, Progress(lambda fraction, note: None, len(split)))

    whole = found(run.dataset().split("test"))
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))
    halves = whole[order].chunk(2)
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    drawn = [run.density.sample(2000, generator=each) for each in generators]
    samples = [found(own.ended(each)) for each in drawn]
    for what, (one, other) in (("halves", halves), ("samples", samples)):
        result = ks_2samp(one.numpy(), other.numpy())
        print(f"{name}, {what}: distance {result.statistic:.4f}, p {result.pvalue:.3f}")
        assert result.pvalue > 0.01


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("data_dir")
def test_on_mnist_a_blank_image_is_likely_and_not_typical(tmp_path: Path) -> None:
    run = copy_run(open_run("mnist/nade").folder, tmp_path / "run")
    found = measure_run(run, "detection", device="cpu").measurements["detection"]
    rows = {row.case: row for row in found.rows}
    assert rows["log p, blank"].value < 0.0005
    assert rows["typicality, blank"].value == pytest.approx(0.998, abs=0.001)
    assert found.details["ks_train"]["distance"] < 0.06
