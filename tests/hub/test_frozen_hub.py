"""What older versions put onto the Hub: runs that are loaded, and boards that go on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hub_server import HubServer

import arbench
import arbench.errors

FROZEN = Path(__file__).parents[1] / "frozen"
RESULTS = {"markov": "toy-markov/nade", "foreign": "toy-markov/coins", "ar1": "toy-ar1/rnade"}


@pytest.fixture(params=["v1", "v2"])
def made(request: pytest.FixtureRequest) -> Path:
    """All that a version made."""
    return FROZEN / str(request.param)


def as_pushed(made: Path) -> dict[str, bytes]:
    """The files of a board as the version pushed them: each is a copy of a run's own."""
    files = {page.name: page.read_bytes() for page in (made / "board").glob("*.md")}
    for run, place in [*RESULTS.items(), ("zoo-entry", "mnist-mini/nade")]:
        folder, (task, model) = made / run, place.split("/")
        record = (folder / "record.json").read_bytes()
        raw = json.loads(record)
        values = (folder / "log_probs.safetensors").read_bytes()
        old = raw.get("checkpoint") or {}
        name = raw["sha256"]["weights"] if "sha256" in raw else old.get("sha256")
        stem = f"{model}-{(name or hashlib.sha256(values).hexdigest())[:8]}"
        files[f"records/{task}/{stem}.json"] = record
        files[f"records/{task}/{stem}.safetensors"] = values
        for report in folder.glob("speed-*.json"):
            files[f"records/{task}/speed/{stem}.{report.name}"] = report.read_bytes()
    return files


def test_a_run_is_loaded_from_the_hub(hub: HubServer, made: Path) -> None:
    files = {file.name: file.read_bytes() for file in (made / "markov").iterdir()}
    hub.publish("org/old", {name: data for name, data in files.items() if name != ".lock"})
    events = arbench.open_task("toy-markov").load("test").events[:20].long()
    expected = arbench.load(made / "markov").log_prob(events)
    assert torch.equal(arbench.load("hf:org/old").log_prob(events), expected)
    assert arbench.verify("hf:org/old", device="cpu").holds


def test_a_board_of_an_older_version_goes_on(
    hub: HubServer,
    made: Path,
    result: Callable[[int], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = as_pushed(made)
    hub.publish("org/board", before, "dataset")
    new, is_sealed = result(1), made.name != "v1"
    if not is_sealed:  # its pages do not say yet that arbench wrote them
        with pytest.raises(arbench.errors.ConfigError, match="with --overwrite"):
            arbench.push_board("org/board", [new])
    arbench.push_board("org/board", [new], overwrite=not is_sealed)
    assert "left out" not in capsys.readouterr().err
    after = hub.files("org/board", "dataset")
    assert {path: after[path] for path in before if path.startswith("records/")} == {
        path: data for path, data in before.items() if path.startswith("records/")
    }
    for task, models in (
        ("toy-markov", ["nade", "coins"]),
        ("toy-ar1", ["rnade"]),
        ("mnist-mini", ["nade", "bernoulli"]),
    ):
        page = after[f"{task}.md"].decode()
        assert re.findall(r"^\| +1 +\| (\w+)", page, re.MULTILINE) == models[:1]
        for model in models:
            assert len(re.findall(rf"^\|[^|]*\| {model}\b", page, re.MULTILINE)) == 1
    assert "0.9358 ± 0.0014" in after["toy-markov.md"].decode()
