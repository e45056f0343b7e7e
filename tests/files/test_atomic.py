"""Files: at every moment a name stands for the whole old content or the whole new one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from arbench.errors import ConfigError, RunError
from arbench.files import atomic as files
from arbench.files.atomic import (
    atomic_path,
    full_disk_named,
    remove_abandoned,
    require_file,
    write_text,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("old")
    return path


def test_a_reader_of_the_old_content_keeps_it(file: Path) -> None:
    """The new content is another file under the same name: nothing is written over."""
    with open(file) as reader:
        write_text(file, "the new one")
        assert os.fstat(reader.fileno()).st_ino != file.stat().st_ino
        assert reader.read() == "old"
    assert file.read_text() == "the new one"
    assert [path.name for path in file.parent.iterdir()] == ["file"]


def test_the_name_is_given_last_to_what_is_flushed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, int]] = []
    flush, rename = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        flush(descriptor)
        done.append(("flush", os.fstat(descriptor).st_ino))

    def replace(source: Path, target: Path) -> None:
        assert source.parent == target.parent  # on one file system, where a rename is one step
        assert (source.read_text(), target.read_text()) == ("new", "old")
        rename(source, target)
        done.append(("rename", target.stat().st_ino))

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(files.os, "replace", replace)
    with atomic_path(file) as temporary:
        temporary.write_text("new")
        assert file.read_text() == "old"
    written, folder = file.stat().st_ino, file.parent.stat().st_ino
    assert done == [("flush", written), ("rename", written), ("flush", folder)]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path / "link", tmp_path):
        if path.name == "link":
            path.symlink_to(pipe)
        with pytest.raises(ConfigError, match="is no file; choose another place"):
            write_text(path, "new")
    assert pipe.is_fifo()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["link", "pipe"]


def test_what_fails_leaves_the_old_content_and_nothing_else(file: Path) -> None:
    def fail() -> None:
        with atomic_path(file) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert file.read_text() == "old"
    assert [path.name for path in file.parent.iterdir()] == ["file"]


def write_elsewhere(file: Path, then: str) -> int:
    """Another process writes to the file and does something in the middle; its exit code."""
    program = f"""
import os, pathlib, signal
from arbench.files.atomic import atomic_path
with atomic_path(pathlib.Path({str(file)!r})) as temporary:
    temporary.write_text("half")
    {then}
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run([sys.executable, "-c", program], env=environment, timeout=60).returncode


def test_who_is_killed_while_writing_leaves_the_old_content(file: Path) -> None:
    assert write_elsewhere(file, "os.kill(os.getpid(), signal.SIGKILL)") == -signal.SIGKILL
    assert file.read_text() == "old"


@pytest.mark.parametrize("name", ["file", "file [1]*"])
def test_what_a_killed_process_wrote_goes_when_the_file_is_written_again(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    write_elsewhere(path, "os.kill(os.getpid(), signal.SIGKILL)")
    assert len([*tmp_path.iterdir()]) == 1
    others = {".other.tmp-12", f".{name}.tmp-me"}
    for other in others:
        (tmp_path / other).write_text("not of that name")
    write_text(path, "new")
    assert {file.name for file in tmp_path.iterdir()} == {name, *others}


def test_what_somebody_is_writing_stays(file: Path) -> None:
    with atomic_path(file) as temporary:
        temporary.write_text("mine")
        assert write_elsewhere(file, "pass") == 0
        remove_abandoned(file.parent)
        assert (temporary.read_text(), file.read_text()) == ("mine", "half")
    assert file.read_text() == "mine"
    assert [path.name for path in file.parent.iterdir()] == ["file"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_device_is_named_with_its_free_space() -> None:
    with (
        pytest.raises(RunError, match=r"/dev/full: the disk is full \(\d+ MB free\)"),
        full_disk_named(Path("/dev/full")),
        open("/dev/full", "w") as file,
    ):
        file.write("x")


def test_a_place_that_may_not_even_be_looked_at_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(ConfigError, match="does not exist; create it first"):
        require_file(tmp_path / "hidden" / "file", "name")
