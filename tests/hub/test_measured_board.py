"""A board on the Hub has a section for every measurement, and leaves out what is forged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from answering import add_result, offer
from asked import Cost, Mean
from hub_server import HubServer
from making import noise

import arbench
from arbench.runs.record.record import Record

EVENTS = 1000  # test events of mnist-mini


@pytest.fixture(autouse=True)
def _measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, Mean, Cost)


def test_a_pushed_board_ranks_what_several_people_measured(
    hub: HubServer, result: Callable[[int], Path]
) -> None:
    """Each push brings a result; the pages rank all of them, from values that are on the Hub."""
    for number, shift in ((1, 0.0), (2, 0.5)):
        run = add_result(result(number), Cost(), {"nats": noise(0, EVENTS) + shift})
        arbench.push_board("org/board", [run])
    page = hub.files("org/board", "dataset")["mnist-mini.md"].decode()
    section = page.partition("## Mnist-mini: cost, nats (lower is better)")[2]
    rows = [line.split("|")[2:4] for line in section.splitlines() if "bernoulli" in line][:2]
    numbers = [(rank.strip(), float(value.split("±")[0])) for rank, value in rows]
    mean = noise(0, EVENTS).mean().item()
    assert [rank for rank, _ in numbers] == ["1", "2"]
    assert [value for _, value in numbers] == pytest.approx([mean, mean + 0.5], abs=1e-3)


def test_a_result_that_is_not_made_of_its_values_is_left_out(
    hub: HubServer, result: Callable[[int], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever wrote it there can hash it again: the values show what the hashes do not."""
    forged = add_result(result(1), Mean(), {"log_prob": noise(0, EVENTS)})
    arbench.push_board("org/board", [forged])
    record = Record.read(forged / "record.json")
    section = record.measurements["mean"]
    row = section.rows[0].model_copy(update={"value": 9.0})
    record.with_sections(mean=section.model_copy(update={"rows": [row]})).write(
        forged / "record.json"
    )
    path = "records/mnist-mini/bernoulli-00000001.json"
    files = hub.files("org/board", "dataset") | {path: (forged / "record.json").read_bytes()}
    hub.publish("org/board", files, "dataset")
    capsys.readouterr()
    arbench.push_board("org/board", [result(2)])
    (line,) = capsys.readouterr().err.splitlines()
    assert f"left out {path}: " in line
    assert "mean: its number is 9, and its values make" in line
    assert "mean, nats" not in hub.files("org/board", "dataset")["mnist-mini.md"].decode()
