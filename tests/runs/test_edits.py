"""An edit of anything that a run left is refused by name, whoever reads it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from edits import READERS, Edit, json_edit, used_silently, values_edit

import arbench
from arbench.errors import Interrupted
from arbench.runs.experiment import _Experiment

FILES = ("config.json", "record.json", "per_event.safetensors", "checkpoint/state.json")
NUM_EDITS = 500
OPTIONS: dict[str, Any] = {"settings": {"alternative": "dropout"}, "epochs": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("bound") / "run"
    settings = {"hidden": 4, "layout.order": "permuted", "alternative": "dropout"}
    arbench.run("toy-parity", "made", epochs=1, device="cpu", settings=settings, out=folder)
    return folder


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was interrupted after a checkpoint."""
    folder = tmp_path_factory.mktemp("begun") / "run"

    def interrupted(*_: object) -> None:
        raise Interrupted("stopped", 2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Experiment, "_measure", interrupted)
        with pytest.raises(Interrupted):
            arbench.run("toy-parity", "made", out=folder, **OPTIONS)
    assert (folder / "checkpoint" / "state.json").exists()
    return folder


def test_every_reader_reads_what_was_not_edited(bound: Path, tmp_path: Path) -> None:
    """But for the network, which there is none of: a push gets as far as asking for it."""
    folder = Path(shutil.copytree(bound, tmp_path / "run"))
    refused = {name: read(folder, bound) for name, read in READERS.items()}
    assert {name: said for name, said in refused.items() if said is not None} == {}


@pytest.mark.parametrize(
    "number",
    [pytest.param(n, marks=[] if n % 10 == 0 else pytest.mark.slow) for n in range(NUM_EDITS)],
)
def test_an_edit_is_refused_by_name_by_whoever_reads_it(
    number: int, bound: Path, begun: Path, tmp_path: Path
) -> None:
    rng = random.Random(number)
    file = FILES[number // 10 % len(FILES)]
    edit: Edit = (values_edit if file.endswith("safetensors") else json_edit)(file, rng)
    run, readers = (begun, ("resume",)) if "/" in file else (bound, tuple(READERS))
    assert used_silently(run, file, edit, tmp_path, readers) == []
