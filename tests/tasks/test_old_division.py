"""Runs from before a division named its rule keep theirs: evaluated, verified and resumed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import arbench
from arbench.data.dataset import Dataset
from arbench.data.tasks import open_task
from arbench.errors import ConfigError
from arbench.files.tensors import load_tensors
from arbench.measure.environment import describe_environment
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder
from arbench.runs.record.record import Record

FROZEN = Path(__file__).parent / "frozen"
TABLE = f"table:{FROZEN / 'table-1.csv'}"
# Name and hash of the tasks of `write_all`, as arbench 0.1.0 had them.
TASKS = {
    "table": (
        "table-99155f10",
        "ad124cf8b7f4590d1c2b7c626e0cbebd24617957d5197dbf2cc031942167d261",
    ),
    "table without validation": (
        "table-0db9bc86",
        "918d6b78dfa14350fb06ca3c048e55bac693988079ebe0adf4db6f60869bb05d",
    ),
    "images in an archive": (
        "images-52f13c2d",
        "0ae9627902f7f1fa114f84ebd728540f3c5e5bc2a5327190967b1983e3ed3c4d",
    ),
    "images in files": (
        "images-52f13c2d",
        "0ae9627902f7f1fa114f84ebd728540f3c5e5bc2a5327190967b1983e3ed3c4d",
    ),
    "audio": (
        "audio-9d0ef0c8",
        "d0b65971a135a06d6dcfc0511f3c2d635dafcfc11cba14eb5babd294c7b8b08b",
    ),
}


def _write_all(folder: Path) -> dict[str, str]:
    """Write the data, and return the tasks that they are, by name."""
    random = np.random.default_rng(11)
    bits = random.integers(0, 2, (300, 4), dtype=np.uint8)
    grey = random.integers(0, 256, (80, 3, 5), dtype=np.uint8)
    np.savez(folder / "undivided.npz", rows=bits)
    np.savez(folder / "no-validation.npz", train=bits[:250], test=bits[250:])
    np.savez(folder / "grey.npz", pixels=grey)
    (folder / "pictures").mkdir()
    for index, pixels in enumerate(grey):
        Image.fromarray(pixels).save(folder / "pictures" / f"{index:02}.png")
    (folder / "sounds").mkdir()
    for index in range(40):
        samples = random.integers(-9000, 9000, 1000 + 100 * index).astype(np.int16)
        kind, subtype = (("wav", "PCM_16"), ("wav", "ULAW"), ("flac", "PCM_16"))[index % 3]
        soundfile.write(folder / "sounds" / f"{index:02}.{kind}", samples, 8000, subtype)
    return {
        "table": f"table:{folder / 'undivided.npz'}",
        "table without validation": f"table:{folder / 'no-validation.npz'}",
        "images in an archive": f"images:{folder / 'grey.npz'}",
        "images in files": f"images:{folder / 'pictures'}",
        "audio": f"audio:{folder / 'sounds'}",
    }


def test_every_kind_of_data_is_divided_as_the_first_version_did(tmp_path: Path) -> None:
    for kind, text in _write_all(tmp_path).items():
        task = open_task(text)
        old = task.as_of("1", None)
        assert (old.name, Dataset(old).sha256) == TASKS[kind], kind
        assert (old.version, old.division) == ("1", None)
        assert task.name != old.name
        assert Dataset(task).sha256 != Dataset(old).sha256
        assert task.as_of(task.version, task.division) is task


@pytest.fixture
def finished(tmp_path: Path) -> RunFolder:
    """A run that 0.1.0 finished on a table; its configuration names no rule."""
    return RunFolder(Path(shutil.copytree(FROZEN / "table-1", tmp_path / "finished")))


def test_an_old_run_is_evaluated_verified_and_complete(finished: RunFolder) -> None:
    config, record = RunConfig.read(finished.config), Record.read(finished.record)
    assert config.division is None
    assert open_task(TABLE).name != config.task  # what a new run on these rows is called
    assert arbench.verify(finished.path, task=TABLE, device="cpu").holds
    found = arbench.evaluate(finished.path, task=TABLE, device="cpu")
    assert found.nats_per_event == pytest.approx(record.splits["test"].nats_per_event, rel=1e-6)
    resumed = arbench.resume(finished.path, task=TABLE, device="cpu").record
    assert resumed.status == "finished"  # so nothing was trained again
    for split, before in record.splits.items():
        # The verification has bound the record and counted its groups; the number is the same.
        assert resumed.splits[split].total_nats == before.total_nats
        assert resumed.splits[split].standard_error_nats == before.standard_error_nats


def test_an_old_run_resumes_to_equal_bytes(tmp_path: Path) -> None:
    """The checkpoint of step 21 of 40 becomes the weights of the run that nobody interrupted."""
    path = Path(shutil.copytree(FROZEN / "table-1-interrupted", tmp_path / "run"))
    resumed = arbench.resume(path, task=TABLE, device="cpu")
    assert resumed.record.status == "finished"
    whole = RunFolder(FROZEN / "table-1")
    config = RunConfig.read(whole.config)
    assert RunConfig.read(RunFolder(path).config) == config
    found, expected = (load_tensors(RunFolder(p).model) for p in (path, whole.path))
    assert found.keys() == expected.keys()
    then, now = Record.read(whole.record).environment, describe_environment(torch.device("cpu"))
    for name in expected:
        if (then.torch, then.cpu, then.threads) == (now.torch, now.cpu, now.threads):
            assert torch.equal(found[name], expected[name])
        else:  # another processor rounds otherwise
            torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-6)
    for record in (resumed.record, Record.read(whole.record)):
        assert record.task.data_sha256 == config.data_sha256


def test_an_old_run_refuses_other_rows(finished: RunFolder, tmp_path: Path) -> None:
    lines = (FROZEN / "table-1.csv").read_text().splitlines(keepends=True)
    (tmp_path / "other.csv").write_text("".join(lines[:-1]))
    with pytest.raises(ConfigError, match="the run is on table-b3870ce6 version 1, not on table-"):
        arbench.verify(finished.path, task=f"table:{tmp_path / 'other.csv'}", device="cpu")
