"""`arbench plot`: the lines are those of metrics.jsonl, in one unit, under labels that say what."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

import arbench_plots.chart
from arbench import TrainingCurve, training_curve
from arbench.cli import main
from arbench.runs.zoo import zoo_folder
from arbench_plots.chart import draw_curves
from arbench_plots.labels import labels_of

NADE = training_curve("mnist/nade")


def lines_of(name: str) -> list[dict[str, Any]]:
    """What a run in the zoo wrote."""
    file = zoo_folder() / name / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn from here on."""
    drawn, found = arbench_plots.chart.drawn_chart, []

    @contextmanager
    def kept(*args: Any, **options: Any) -> Iterator[Figure]:
        with drawn(*args, **options) as figure:
            yield figure
            found.append(figure)

    monkeypatch.setattr(arbench_plots.chart, "drawn_chart", kept)
    return found


def changed(curve: TrainingCurve = NADE, **parts: Any) -> TrainingCurve:
    return replace(curve, **parts)


def test_a_curve_is_what_the_run_wrote_and_its_bits_are_per_dim() -> None:
    lines = lines_of("mnist/nade")
    assert (NADE.per, NADE.unit, NADE.settings["network.hidden"]) == ("event", "pixel", 500)
    assert [(p.step, p.epoch, p.seconds) for p in NADE.points] == [
        (line["step"], line["epoch"], line["seconds"]) for line in lines
    ]
    for point, line in zip(NADE.points, lines, strict=True):
        assert point.train == line["train_nats_per_event"]
        assert point.validation == line["validation_nats_per_event"]
        assert point.validation_bits == line["validation_bits_per_dim"]
        assert point.train_bits == pytest.approx(point.train / 784 / math.log(2), rel=1e-12)


def test_nats_of_a_stream_are_per_symbol_on_both_splits() -> None:
    curve = training_curve("shakespeare/gpt")
    assert (curve.per, curve.unit) == ("char", "char")
    for point, line in zip(curve.points, lines_of("shakespeare/gpt"), strict=True):
        assert point.train == pytest.approx(line["train_nats_per_event"] / 256)
        assert point.validation == pytest.approx(line["validation_bits_per_dim"] * math.log(2))
        assert point.train_bits == pytest.approx(point.train / math.log(2))
    # Wherever their windows begin, both are of English with its 65 symbols.
    assert 0.9 < curve.points[-1].train / curve.points[-1].validation < 1.05


def test_names_have_no_train_bits_since_their_lengths_differ() -> None:
    curve = training_curve("names/lstm")
    assert curve.per == "event"
    assert all(p.train_bits is None and p.validation_bits is not None for p in curve.points)


@pytest.mark.parametrize(
    ("against", "key", "share"), [("steps", "step", 1), ("epochs", "epoch", 1), ("time", "", 60)]
)
def test_the_lines_of_the_chart_are_those_of_the_file(
    figures: list[Figure], tmp_path: Path, against: str, key: str, share: int
) -> None:
    out = str(tmp_path / "curves.png")
    assert main(["plot", "mnist/nade", "mnist/fvsbn", "--against", against, "--out", out]) == 0
    (axes,) = figures[0].axes
    expected = [
        ([line[key or "seconds"] / share for line in lines], [line[of] for line in lines])
        for lines in map(lines_of, ("mnist/nade", "mnist/fvsbn"))
        for of in ("validation_nats_per_event", "train_nats_per_event")
    ]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines] == expected
    assert [line.is_dashed() for line in axes.lines] == [False, True, False, True]
    assert axes.get_ylabel() == "nats per event"
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["nade", "fvsbn", "validation", "train"]
    top = axes.get_ylim()[1]
    assert max(expected[2][1][1:]) < top  # nothing but the beginning is left out


def test_a_curve_that_ends_far_above_the_others_stays_in_sight(
    figures: list[Figure], tmp_path: Path
) -> None:
    worse = [replace(point, validation=300.0, train=None) for point in NADE.points[:1]]
    curves = [NADE, changed(model="floor", points=worse)]
    draw_curves(curves, ["a", "b"], tmp_path / "c.png", against="steps", bits=False)
    low, high = figures[0].axes[0].get_ylim()
    assert low < 85 < 300 < high


def test_bits_are_drawn_of_runs_on_several_tasks(figures: list[Figure], tmp_path: Path) -> None:
    names = ["mnist/nade", "caltech-silhouettes/nade"]
    assert main(["plot", *names, "--bits", "--out", str(tmp_path / "b.png")]) == 0
    (axes,) = figures[0].axes
    assert axes.get_ylabel() == "bits per pixel"
    bits = [line["validation_bits_per_dim"] for line in lines_of("mnist/nade")]
    assert list(axes.lines[0].get_ydata()) == bits
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend[:2] == ["nade on mnist", "nade on caltech-silhouettes"]


def test_the_same_runs_are_the_same_bytes_in_the_one_file_that_is_asked_for(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}").mkdir()
        for ending in ("svg", "png"):
            draw_curves([NADE], ["x"], tmp_path / f"{number}/c.{ending}", against="time", bits=True)
    assert sorted(file.name for file in (tmp_path / "1").iterdir()) == ["c.png", "c.svg"]
    for ending in ("svg", "png"):
        one, two = ((tmp_path / f"{number}/c.{ending}").read_bytes() for number in (1, 2))
        assert one == two


def test_a_run_that_is_going_on_has_a_curve_and_a_damaged_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(zoo_folder() / "mnist/nade", run)
    (run / "record.json").unlink()
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join(lines[:3]))
    curve = training_curve(run)
    assert curve.points == NADE.points[:3]
    assert (curve.unit, curve.per) == ("pixel", "event")
    (run / "metrics.jsonl").write_text("{}")
    assert main(["plot", str(run), "--out", str(tmp_path / "x.png")]) == 3
    assert "metrics.jsonl, line 1" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mnist/nade", "--out", "curves.jpg"], "written as .png or .svg"),
        (["mnist/nade", "--out", "nowhere/curves.png"], "the folder nowhere does not exist"),
        (["mnist/nad"], "did you mean mnist/nade"),
        (["mnist/nade", "names/lstm"], "nats of mnist and names cannot be compared"),
        (["mnist/nade", "shakespeare/gpt", "--bits"], "bits per char and pixel"),
        (["names/lstm", "--bits"], "leave out --bits"),
        (["mnist/nade"] * 13, "at most 12 runs, got 13"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plot", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


HASH = "0123456789abcdef0123456789abcdef01234567"
WIDE = changed(settings={**NADE.settings, "network.hidden": 64, "training.epochs": 3})


@pytest.mark.parametrize(
    ("curves", "names", "labels"),
    [
        ([NADE], [f"hf:org/name@{HASH}"], ["nade"]),
        ([NADE, changed(model="made")], ["a", "b"], ["nade", "made"]),
        ([NADE, WIDE], ["a", "b"], ["nade, hidden=500, epochs=30", "nade, hidden=64, epochs=3"]),
        ([NADE, changed(seed=1)], ["a", "b"], ["nade, seed 0", "nade, seed 1"]),
        (
            [NADE, changed(recipe="own")],
            ["a", "b"],
            ["nade, recipe nade/mnist", "nade, recipe own"],
        ),
        ([NADE, NADE], ["runs/a", "hf:org/b@main"], ["nade, a", "nade, b"]),
        ([NADE, NADE], [f"/x/{HASH}", f"/x/{HASH[::-1]}"], ["nade (1)", "nade (2)"]),
        ([NADE, NADE, changed(model="made")], ["a", "a", "a"], ["nade (1)", "nade (2)", "made"]),
        (
            [NADE, changed(model="made", task="mnist-gray")],
            ["a", "b"],
            ["nade on mnist", "made on mnist-gray"],
        ),
        (
            [changed(task="images-0123abcd"), changed(task="table-89abcdef")],
            ["a", "b"],
            ["nade on images", "nade on table"],
        ),
        (
            [changed(task="images-0123abcd"), changed(task="images-89abcdef")],
            ["cats", "dogs"],
            ["nade, cats", "nade, dogs"],
        ),
    ],
)
def test_a_label_says_what_sets_a_run_apart_and_is_no_hash(
    curves: list[TrainingCurve], names: list[str], labels: list[str]
) -> None:
    assert labels_of(curves, names) == labels
    assert not any(re.search("[0-9a-f]{8}", label) for label in labels)


def test_the_title_names_no_hash_and_a_dollar_is_no_formula(
    figures: list[Figure], tmp_path: Path
) -> None:
    own = changed(task="images-0123abcd")
    draw_curves([own, own], ["$a$", "$b"], tmp_path / "c.svg", against="epochs", bits=False)
    (axes,) = figures[0].axes
    assert axes.get_title() == "images"
    assert "nade, \\$a\\$" in [text.get_text() for text in axes.get_legend().get_texts()]
