"""`docs/foreign-models.md`: every block runs, one after another, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from arbench.runs.record.record import Record

PAGE = (Path(__file__).parents[2] / "docs" / "foreign-models.md").read_text()
BLOCKS = re.findall(r"^```(python|sh)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_every_block_runs_in_an_empty_folder(tmp_path: Path) -> None:
    pytest.importorskip("zuko", reason="install the extra `foreign`")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "arbench").write_text(f'#!/bin/sh\nexec {sys.executable} -m arbench "$@"\n')
    (programs / "arbench").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMP_NUM_THREADS": "1",
    }
    folder = tmp_path / "empty"
    folder.mkdir()
    for language, block in BLOCKS:
        command = [sys.executable, "-c", block] if language == "python" else ["sh", "-ec", block]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    kinds = {
        p.parent.name: Record.read(p).splits["test"].kind for p in folder.glob("*/*/record.json")
    }
    assert kinds == {
        "maf": "density",
        "rnade": "density",
        "normal": "bound",
        "bigram": "exact",
        "untrained": "exact",
    }
