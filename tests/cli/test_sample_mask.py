"""`arbench sample --mask`: white is kept, black is drawn, and what is no mask is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import arbench
from arbench.cli import main

SMALL = {"hidden": [4], "batch_size": 20, "evaluations": 1, "layout.order": "permuted"}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model for any order on a few digits, itself in a random order."""
    out = tmp_path_factory.mktemp("digits") / "run"
    run = arbench.run(
        "mnist-mini", "any-order", settings=SMALL, epochs=1, limit=20, device="cpu", out=out
    )
    return run.path


@pytest.fixture
def border(tmp_path: Path) -> Path:
    """A mask that is white but for a hole in the middle."""
    mask = np.full((28, 28), 255, np.uint8)
    mask[9:19, 9:19] = 0
    Image.fromarray(mask).save(tmp_path / "border.png")
    return tmp_path / "border.png"


@pytest.mark.parametrize("mode", ["L", "1"])
def test_white_pixels_are_kept_and_black_ones_drawn(
    digits: Path, border: Path, tmp_path: Path, mode: str
) -> None:
    Image.open(border).convert(mode).save(border)
    out = tmp_path / "out.png"
    command = ["sample", str(digits), "-n", "1", "--given", "test:7", "--mask", str(border)]
    assert main([*command, "--device", "cpu", "--out", str(out)]) == 0
    picture = np.asarray(Image.open(out))[..., 0]
    event = arbench.open_task("mnist-mini").load("test").events[7, 0].numpy() * 255
    hole = np.asarray(Image.open(border).convert("L")) == 0
    top, factor = 40, 600 // 32
    side = 32 * factor
    lefts = (16, 16 + side + 16, 16 + 2 * (side + 16))
    original, given, completed = (
        picture[top : top + side : factor, left : left + side : factor][2:30, 2:30]
        for left in lefts
    )
    assert (original == event).all()
    assert (given[~hole] == event[~hole]).all()
    assert (given[hole] == 150).all()
    assert (completed[~hole] == event[~hole]).all()
    # Weights that have learned nothing draw a hole of noise.
    assert 10 < (completed[hole] == 255).sum() < 90


def test_a_model_of_one_order_says_who_could(
    border: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sample", "mnist-mini/nade", "--given", "test:7", "--mask", str(border)]
    assert main([*command, "--out", str(tmp_path / "out.png")]) == 2
    assert "take a model that answers for any order" in capsys.readouterr().err


def test_what_is_no_mask_is_refused(
    digits: Path, border: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*options: str) -> str:
        command = ["sample", str(digits), *options, "--out", str(tmp_path / "out.png")]
        assert main(command) in (2, 3)
        return capsys.readouterr().err

    mask = np.asarray(Image.open(border)).copy()
    for name, image in {
        "grey": np.where(mask == 0, 37, mask).astype(np.uint8),
        "small": mask[:, :20],
        "colour": np.repeat(mask[..., None], 3, -1),
    }.items():
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    given = ("--given", "test:7", "--mask")
    assert "found the grey level 37" in said(*given, str(tmp_path / "grey.png"))
    assert "20x28 pixels, expected 28x28" in said(*given, str(tmp_path / "small.png"))
    assert "found mode RGB, expected L or 1" in said(*given, str(tmp_path / "colour.png"))
    assert "not an image" in said(*given, str(tmp_path / "nowhere.png"))
    assert "needs both --given" in said("--mask", str(border))
    assert "--rows and --mask both" in said(*given, str(border), "--rows", "3")
