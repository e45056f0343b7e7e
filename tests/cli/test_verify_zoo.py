"""`arbench verify --zoo`: every entry in a table; what does not hold or has no data is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from forging import forge

import arbench.api
from arbench.cli import main, verify_zoo
from arbench.hub.finding import find_run
from arbench.runs.zoo import zoo_folder, zoo_index

COMMAND = ["verify", "--zoo", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data but those that ship with the package, and nowhere to download others from."""
    monkeypatch.delenv("ARBENCH_DATA", raising=False)
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("arbench.data.sources.download", _no_network)


def _no_network(url: str, path: Path) -> None:
    raise arbench.NetworkError("there is no network")


def choose(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(verify_zoo, "zoo_index", lambda: {n: zoo_index()[n] for n in names})


def test_entries_hold_and_those_without_data_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(monkeypatch, "mnist-mini/nade")
    assert main(COMMAND) == 0
    assert "1 of 1 entries hold." in capsys.readouterr().out
    choose(monkeypatch, "mnist-mini/nade", "names/lstm")
    assert main(COMMAND) == 3
    out = capsys.readouterr().out
    assert "1 of 2 entries hold." in out
    assert "names/lstm was not evaluated: no names.txt from" in out


def test_an_entry_that_claims_better_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forged = Path(shutil.copytree(zoo_folder() / "mnist-mini" / "nade", tmp_path / "run"))

    def improve(record: dict) -> None:
        test = record["measurements"]["likelihood"]["test"]
        for name in ("total_nats", "nats_per_event", "bits_per_dim"):
            test[name] *= 0.99

    forge(forged, improve)
    choose(monkeypatch, "mnist-mini/nade", "names/lstm")
    replaced = {"mnist-mini/nade": forged}
    monkeypatch.setattr(arbench.api, "find_run", lambda name: replaced.get(name) or find_run(name))
    assert main([*COMMAND, "--json"]) == 1  # that is worse than data that are missing
    found = json.loads(capsys.readouterr().out)
    assert not found["entries"]["mnist-mini/nade"]["holds"]
    assert [*found["missing"]] == ["names/lstm"]


@pytest.mark.parametrize("words", [[], ["mnist/nade", "--zoo"], ["--zoo", "--task", "mnist"]])
def test_a_run_or_the_zoo(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *words]) == 2
    assert "give a RUN, or --zoo alone" in capsys.readouterr().err
