"""`arbench sample --probabilities`: of the very samples, by the model's own likelihood."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import arbench
from arbench.cli import main


def test_images_stand_left_and_their_probabilities_right(tmp_path: Path) -> None:
    out = tmp_path / "digits.png"
    assert main(["sample", "mnist-mini/nade", "-n", "4", "--probabilities", "--out", str(out)]) == 0
    density = arbench.load("mnist-mini/nade")
    events = arbench.sample(density, 4)
    p = density.conditionals(events)[..., 1].exp()
    factor, top = 600 // 62, 40
    side = 62 * factor
    picture = np.asarray(Image.open(out))[..., 0].astype(float)
    for left, levels in ((16, events * 255.0), (16 + side + 16, p * 255)):
        grid = picture[top : top + side : factor, left : left + side : factor]
        for number in range(4):
            row, column = divmod(number, 2)
            tile = grid[2 + 30 * row :, 2 + 30 * column :][:28, :28]
            # The device of this test may round otherwise than the command's.
            assert np.abs(tile - levels[number, 0].numpy()).max() <= 0.51


def test_the_same_command_is_the_same_picture(tmp_path: Path) -> None:
    command = ["sample", "mnist-mini/nade", "-n", "3", "--given", "test:7", "--rows", "14"]
    for number in (1, 2):
        out = str(tmp_path / f"{number}.svg")
        assert main([*command, "--probabilities", "--out", out]) == 0
    first, second = ((tmp_path / f"{number}.svg").read_text() for number in (1, 2))
    assert first == second
    for title in ("original", "given", "completions", "probability of white"):
        assert f">{title}" in first


def spelled(text: str) -> list[tuple[str, float]]:
    """Symbols and their probabilities as the command prints them."""
    rows = [line.rpartition("\t") for line in text.splitlines()]
    return [(ast.literal_eval(symbol), float(number)) for symbol, _, number in rows]


def test_probabilities_of_the_letters_multiply_to_that_of_the_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sample", "names/lstm", "-n", "3", "--seed", "2"]) == 0
    names = capsys.readouterr().out.splitlines()
    assert main(["sample", "names/lstm", "-n", "3", "--seed", "2", "--probabilities"]) == 0
    symbols = spelled(capsys.readouterr().out)
    assert "".join(symbol for symbol, _ in symbols) == "\n".join([*names, ""])
    density, run = arbench.load("names/lstm"), arbench.open_run("names/lstm")
    start = 0
    for name in names:
        own = [p for _, p in symbols[start : start + len(name) + 1]]
        start += len(name) + 1
        event = torch.full((1, density.spec.num_dims), run.rendering.end)
        event[0, : len(name)] = run.rendering.encode(name)
        scored = torch.arange(density.spec.num_dims)[None] <= len(name)
        rounding = sum(0.5e-4 / p for p in own) + 1e-3  # they are printed with four digits
        nats = density.log_prob(event, scored).item()
        assert sum(map(math.log, own)) == pytest.approx(nats, abs=rounding)
        assert rounding < 0.5


def test_a_text_is_the_one_that_is_drawn_without(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["sample", "shakespeare/lstm", "--prompt", "KING", "--length", "12", "--seed", "1"]
    assert main([*command, "--temperature", "0.7"]) == 0
    text = capsys.readouterr().out
    assert main([*command, "--temperature", "0.7", "--probabilities"]) == 0
    symbols = spelled(capsys.readouterr().out.replace("\tnan", "\t-1"))
    assert "".join(symbol for symbol, _ in symbols) == text
    assert [p for _, p in symbols[:4]] == [-1] * 4
    assert all(0 < p <= 1 for _, p in symbols[4:-1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["names/lstm", "--out", "names.txt"], "written as .png or .svg"),
        (["names/lstm", "--length", "3"], "that end by themselves have no --length"),
        (["shakespeare/lstm", "--length", "257"], "at most 256 characters"),
        (["shakespeare/lstm", "--prompt", "é"], "the prompt: the character"),
        (["mnist-mini/nade", "--temperature", "0"], "a temperature is from"),
        (["mnist-mini/nade", "--out", "digits.gif"], "written as .png or .svg"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample", *arguments, "-n", "1", "--probabilities"]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_rows_of_a_table_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.random.default_rng(0).integers(0, 2, (100, 6))
    np.savetxt(tmp_path / "rows.csv", rows, fmt="%d", delimiter=",")
    task = f"table:{tmp_path / 'rows.csv'}"
    run = str(tmp_path / "run")
    command = ["run", "--task", task, "--model", "bernoulli", "--device", "cpu"]
    assert main([*command, "--out", run]) == 0
    assert main(["sample", run, "--probabilities"]) == 2
    assert "which has no such picture: leave out --probabilities" in capsys.readouterr().err


def test_a_text_is_drawn_in_colours_on_request(tmp_path: Path) -> None:
    for ending in ("png", "svg"):
        out = tmp_path / f"names.{ending}"
        assert main(["sample", "names/lstm", "-n", "2", "--probabilities", "--out", str(out)]) == 0
    picture = np.asarray(Image.open(tmp_path / "names.png"))
    assert (picture[0] == 255).all()
    assert len(np.unique(picture[20:80, 20:120].reshape(-1, 3), axis=0)) > 10
    assert (tmp_path / "names.svg").read_text().startswith("<svg ")


def test_at_a_temperature_they_are_those_of_what_is_drawn_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["sample", "names/lstm", "-n", "3", "--temperature", "0.002", "--probabilities"]
    assert main(command) == 0
    probabilities = [p for _, p in spelled(capsys.readouterr().out)]
    assert np.median(probabilities) > 0.999  # the likeliest letter is all but certain
