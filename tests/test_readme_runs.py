"""Every `arbench run` of the README reaches its training with data of a reader's size.

What is trained is cut off: a plugin's network is built whole, at the size that the reader's data
give it, so an example that would build a billion weights fails here.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from arbench.cli import main
from arbench.errors import RunError
from arbench.runs.experiment import _Experiment

README = (Path(__file__).parent.parent / "README.md").read_text()
LINES = re.findall(r"^arbench run (--task .*?)(?:  +#.*)?$", README, re.MULTILINE)
OWN = [line for line in LINES if re.search(r"--task '?(table|images|words|audio|midi|text):", line)]
OTHERS = [line for line in LINES if line not in OWN and "--seeds" not in line]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Path:
    """The files that the README names: 60 photographs, scans, a table, and some towns."""
    random = np.random.default_rng(0)
    photographs = random.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    scans = random.integers(0, 256, (60, 28, 28), dtype=np.uint8)
    for name, images in {
        "photos": photographs, "others": photographs[:9] // 2, "scans": scans, "digits": scans[:20]
    }.items():  # fmt: skip
        (tmp_path / name).mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{number:02}.png")
    np.savez(tmp_path / "rows.npz", images=photographs)
    rows = [f"{random.choice(['ulm', 'jena'])},{random.normal():.3f},{n % 2}" for n in range(300)]
    (tmp_path / "rows.csv").write_text("\n".join(["town,height,large", *rows, ""]))
    towns = ["Ulm", "Bonn", "Kiel", "Jena", "Mainz", "Trier", "Celle", "Hof", "Gera", "Bremen"]
    (tmp_path / "towns.txt").write_text("".join(f"{town}\n" for town in towns * 20))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARBENCH_DATA", str(data_dir))
    return tmp_path


class ReachedError(RunError):
    """Instead of a training."""


@pytest.mark.parametrize("line", [*OWN, *OTHERS])
def test_a_run_of_the_readme_reaches_its_training(
    line: str, reader: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def reach(self: _Experiment, *_: Any) -> None:
        raise ReachedError(f"{self.num_parameters} parameters are built")

    monkeypatch.setattr(_Experiment, "run", reach)
    monkeypatch.setattr(_Experiment, "train_alone", reach)
    assert main(["run", *shlex.split(line), "--device", "cpu"]) == 1
    said = capsys.readouterr().err
    assert re.search(r"\d+ parameters are built", said), said


def test_there_are_runs_on_data_of_the_readers_own() -> None:
    kinds = {re.sub(r".*--task '?(\w+):.*", r"\1", line) for line in OWN}
    assert kinds >= {"table", "images", "words"}
    assert len(OTHERS) > 3
