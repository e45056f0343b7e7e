"""A disk that is really full, at every write of a run: named, and nothing is there by halves."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import arbench
from arbench.cli import main
from arbench.data.rendering import AudioRendering, ImageRendering, Rendering
from arbench.errors import RunError
from arbench.files.atomic import sha256_of
from arbench.files.tensors import load_tensors
from arbench.probability.events import Discrete, EventSpec
from arbench.show.samples import save_samples
from arbench.training.checkpoints import CheckpointStore

BLOCK = 4096
ARGUMENTS = ["run", "--task", "toy-markov", "--model", "made", "--device", "cpu"]
ARGUMENTS += ["--set", "alternative=dropout"]
SETTINGS = {"alternative": "dropout", "hidden": [16], "checkpoint_seconds": 0, "evaluations": 3}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB; where none can be mounted the test is skipped and says why."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be filled: only root may mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def leave_free(disk: Path, num_blocks: int) -> None:
    """Take everything away and fill the disk but for the last blocks."""
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - num_blocks * BLOCK))


def train(folder: Path) -> int:
    """The exit code of a small run, which writes a checkpoint after every step."""
    settings = [f"--set={key}={value}" for key, value in SETTINGS.items()]
    return main([*ARGUMENTS, "--limit", "300", "--epochs", "1", *settings, "--out", str(folder)])


def whole(path: Path) -> bool:
    """Whether a file of a run is what its name says, from its beginning to its end."""
    if path.suffix == ".json":
        return isinstance(json.loads(path.read_text()), dict)
    if path.suffix == ".safetensors":
        return bool(load_tensors(path))
    return path.name in (".lock", "metrics.jsonl")


def test_wherever_the_disk_is_full_the_run_says_so_and_resumes_to_the_same_bytes(
    disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path / "undisturbed") == 0
    expected = sha256_of(tmp_path / "undisturbed" / "model.safetensors")
    capsys.readouterr()
    folder, failed_at, num_blocks, code = disk / "run", set[str](), 0, 1
    while code:
        leave_free(disk, num_blocks)
        code, num_blocks = train(folder), num_blocks + 1
        last = capsys.readouterr().err.splitlines()[-1]
        if code:
            assert code == 1
            assert "the disk is full (0 MB free)" in last
            assert all(whole(file) for file in folder.rglob("*") if file.is_file())
            state = CheckpointStore(folder / "checkpoint").load() if folder.exists() else None
            place, _, _ = last.removeprefix("arbench: error: ").partition(":")
            name = Path(place).relative_to(folder).name
            if state is not None and name not in failed_at:
                (disk / "filler").unlink()
                assert arbench.resume(folder, device="cpu").record.status == "finished"
                assert sha256_of(folder / "model.safetensors") == expected
            failed_at.add(name)
    assert {"config.json", "metrics.jsonl", "state.json", "step-0.safetensors"} <= failed_at


SOUND = AudioRendering(sample_rate=8000, companding="linear")


@pytest.mark.parametrize(
    ("name", "shape", "rendering"),
    [("x.wav", (20_000,), SOUND), ("x.png", (3, 128, 128), ImageRendering())],
)
def test_samples_are_written_whole_or_not_at_all(
    disk: Path, name: str, shape: tuple[int, ...], rendering: Rendering
) -> None:
    spec = EventSpec(shape, Discrete(256))
    events = torch.randint(256, (4, *shape), dtype=torch.uint8)
    leave_free(disk, 2)
    with pytest.raises(RunError, match=rf"{name}: the disk is full"):
        save_samples(disk / name, events, spec, rendering=rendering)
    assert {file.name for file in disk.iterdir()} == {"filler"}
