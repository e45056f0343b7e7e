"""`arbench show RUN --heatmap`: pictures, texts on a terminal and elsewhere, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from arbench import api
from arbench.cli import heatmap, main

LINE = "to be, or not to be: that is the question.\n"


def train(folder: Path, task: str, *arguments: str) -> str:
    out = str(folder / "run")
    command = ["run", "--task", task, "--model", "bernoulli", "--device", "cpu", "--out", out]
    assert main([*command, *arguments]) == 0
    return out


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run on a few binary digits."""
    return train(tmp_path_factory.mktemp("digits"), "mnist-mini", "--limit", "100")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A run on a text of the user's own, and the text."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "own.txt").write_text(LINE * 40)
    task = f"text:{folder / 'own.txt'}"
    return train(folder, task, "--set", "context=16", "--set", "stride=4"), task


def test_a_run_on_images_leaves_a_picture(
    digits: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["show", digits, "--heatmap"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("heatmap: heatmap.png (")
    assert "bits/pixel, mean of 1,000 test events" in said
    first = np.asarray(Image.open("heatmap.png"))
    assert main(["show", digits, "--heatmap", "again.png"]) == 0
    assert (np.asarray(Image.open("again.png")) == first).all()


def test_a_text_is_plain_numbers_where_there_is_no_terminal(
    text: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run, task = text
    assert main(["show", run, "--heatmap", "--task", task]) == 0
    *lines, note = capsys.readouterr().out.splitlines()
    symbols, bits = zip(*(line.split("\t") for line in lines), strict=True)
    spelled = "".join(eval(symbol) for symbol in symbols)
    assert spelled in LINE * 40  # windows overlap, and every symbol is there once
    mean = np.mean([float(value) for value in bits])
    assert float(note.split()[0]) == pytest.approx(mean, abs=1e-4)
    record = api.evaluate(run, task=task)
    assert record.bits_per_dim == pytest.approx(mean, abs=1e-4)


def test_a_text_is_coloured_on_a_terminal(
    text: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, task = text

    def terminal(**options: object) -> Console:
        return Console(force_terminal=True, color_system="truecolor", **options)  # type: ignore[arg-type]

    monkeypatch.setattr(heatmap, "Console", terminal)
    assert main(["show", run, "--heatmap", "--task", task]) == 0
    said = capsys.readouterr().out
    assert ";48;2;" in said  # on a colour of its own
    assert said.count("\u21b5\x1b[0m\n") >= 2  # line breaks are seen, and break the line
    assert "bits/char" in said


def test_a_text_can_be_a_picture(text: tuple[str, str], tmp_path: Path) -> None:
    run, task = text
    file = tmp_path / "text.png"
    assert main(["show", run, "--heatmap", str(file), "--task", task]) == 0
    assert Image.open(file).height > 4 * 17


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--heatmap", "x.png", "--json"], 2, "leave out --json and --recipe"),
        (["--heatmap", "x.jpg"], 2, "written as .png"),
        (["--task", "images:photos"], 2, "--heatmap"),
    ],
)
def test_what_cannot_be_is_refused(
    digits: str, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", digits, *arguments]) == code
    assert words in capsys.readouterr().err


def test_only_a_finished_run_has_a_heatmap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").touch()
    assert main(["show", str(tmp_path / "run"), "--heatmap"]) == 3
    assert main(["show", "nade", "--heatmap"]) == 2
    assert "'nade' is no run" in capsys.readouterr().err


def test_data_of_ones_own_must_be_named(
    text: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", text[0], "--heatmap"]) == 2
    assert "--task text:PATH" in capsys.readouterr().err
