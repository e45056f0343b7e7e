"""One file of every task flipped, cut or emptied: named with both hashes, and never trained on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from arbench.cli import main
from arbench.data.offline import offline
from arbench.data.sources import SourceFile
from arbench.data.streams import StreamTask
from arbench.data.tasks import SPLITS, open_task
from arbench.errors import DataError
from arbench.files.atomic import sha256_of
from arbench.registry.manager import registry
from arbench_mnist import mini

FILES = [
    (name, source)
    for name, offer in registry().tasks.items()
    if offer.entry.argument is None
    for source in open_task(name).files
    if source.sha256 is not None
]
DAMAGES = ["flipped", "cut", "empty"]


def damage(content: bytes, kind: str) -> bytes:
    middle = len(content) // 2
    if kind == "flipped":
        return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    return content[:middle] if kind == "cut" else b""


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize(
    ("name", "source"), FILES, ids=[f"{name}-{Path(source.path).name}" for name, source in FILES]
)
def test_a_damaged_file_is_named_with_both_hashes(
    name: str, source: SourceFile, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not on this machine is stood in for by other bytes."""
    real = Path(os.environ.get("ARBENCH_DATA", tmp_path / "nothing"))
    data = tmp_path / "data"
    for other in open_task(name).files:
        (data / other.path).parent.mkdir(parents=True, exist_ok=True)
        if other != source and (real / other.path).exists():
            (data / other.path).symlink_to(real / other.path)
    content = (real / source.path).read_bytes() if (real / source.path).exists() else b"stand-in"
    (data / source.path).write_bytes(damage(content, kind))
    monkeypatch.setenv("ARBENCH_DATA", str(data))
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    task, said = open_task(name), []
    for split in SPLITS:
        try:
            with offline():
                task.load_stream(split) if isinstance(task, StreamTask) else task.load(split)
                if task.has_labels:
                    task.load_labels(split)
        except DataError as error:
            said.append(str(error))
    wanted = (str(data / source.path), str(source.sha256), sha256_of(data / source.path))
    assert any(all(word in line for word in wanted) for line in said), said
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_is_never_trained_on(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The digits that ship with the package are checked like any others."""
    content = (mini.FOLDER / mini.FILE.path).read_bytes()
    (tmp_path / mini.FILE.path).write_bytes(damage(content, kind))
    monkeypatch.setattr(mini, "FOLDER", tmp_path)
    arguments = ["run", "--task", "mnist-mini", "--model", "bernoulli", "--device", "cpu"]
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert str(mini.FILE.sha256) in line
    assert sha256_of(tmp_path / mini.FILE.path) in line
    assert not (tmp_path / "run").exists()
