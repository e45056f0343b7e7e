"""`arbench download` of what ships; what comes from the Hub is in tests/hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbench.cli import main
from arbench.files.atomic import sha256_of
from arbench.runs.zoo import zoo_folder


def test_what_ships_is_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "mnist-mini/nade"]) == 0
    assert capsys.readouterr().out == f"{zoo_folder() / 'mnist-mini' / 'nade'}\n"


def test_it_can_be_copied_to_a_new_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "nade"
    assert main(["download", "mnist-mini/nade", "--out", str(out)]) == 0
    source = zoo_folder() / "mnist-mini" / "nade"
    assert {f.name: sha256_of(f) for f in out.iterdir()} == {
        f.name: sha256_of(f) for f in source.iterdir()
    }
    assert [path.name for path in out.parent.iterdir()] == ["nade"]
    assert main(["download", "mnist-mini/nade", "--out", str(out)]) == 2
    assert "not empty" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["download", "mnist-mini/nade", "--out", str(tmp_path / "file" / "nade")]) == 3
    assert "cannot be written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
