"""A run on the Hub is measured in a copy of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_server import HubServer

import arbench
from arbench import ConfigError, Reporter
from arbench.api.measuring import folder_to_measure


def test_the_copy_stays_and_another_revision_needs_one_of_its_own(
    hub: HubServer, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = arbench.push(run, "org/floor").commit
    copy = folder_to_measure("hf:org/floor", reporter=Reporter())
    assert copy == Path("runs/hub/org/floor")
    assert (copy / "record.json").read_bytes() == (run / "record.json").read_bytes()
    (copy / "note.txt").write_text("mine")
    assert folder_to_measure(f"hf:org/floor@{first}", reporter=Reporter()) == copy
    assert (copy / "note.txt").exists()

    arbench.run(task="mnist-mini", model="bernoulli", limit=40, device="cpu", out="other")
    second = arbench.push("other", "org/floor").commit
    with pytest.raises(ConfigError, match="name another folder for its copy with --out"):
        folder_to_measure(f"hf:org/floor@{second}", reporter=Reporter())
    assert (copy / "note.txt").exists()
    other = folder_to_measure(f"hf:org/floor@{second}", out="second", reporter=Reporter())
    weights = [(each / "model.safetensors").read_bytes() for each in (other, Path("other"))]
    assert weights[0] == weights[1]
