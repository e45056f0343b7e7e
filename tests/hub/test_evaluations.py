"""The Hub's own leaderboard ranks as the board does; its client reads what a push writes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hub_evaluations import fault_of
from hub_server import HubServer
from huggingface_hub import EvalResultEntry, HfApi, ModelCard, parse_eval_result_entries

import arbench
from arbench.boards.boards import find_boards, make_boards
from arbench.boards.results import kept_records, read_results
from arbench.cli import main
from arbench.hub.evaluations import benchmark_of, eval_results, task_id
from arbench.hub.repositories import parse_repo
from arbench.runs.record.record import Record

BOARD = parse_repo("org/board", "dataset")
FILE = ".eval_results/board-mnist-mini-v1-exact.yaml"


def test_a_model_stands_on_the_leaderboard_of_its_board(
    hub: HubServer, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--to", "org/floor", "--board", "org/board", "--license", "apache-2.0"]
    assert main(["push", str(run), *where]) == 0
    api, test = HfApi(endpoint=hub.url), Record.read(run / "record.json").splits["test"]
    (entry,) = api.model_info("org/floor", expand=["evalResults"]).eval_results
    assert isinstance(entry, EvalResultEntry)
    assert (entry.dataset_id, entry.task_id) == ("org/board", "mnist-mini-v1-exact")
    assert entry.value == pytest.approx(-test.nats_per_event, rel=1e-12)
    assert entry.value < 0
    assert f"{test.bits_per_dim:.4f} ± " in entry.notes
    assert entry.source_url == f"{hub.url}/org/floor/blob/main/record.json"
    (row,) = api.get_dataset_leaderboard("org/board")
    assert (row.rank, row.model_id, row.value) == (1, "org/floor", entry.value)
    assert row.filename == FILE
    benchmark = yaml.safe_load(hub.files("org/board", "dataset")["eval.yaml"])
    assert entry.task_id in [task["id"] for task in benchmark["tasks"]]
    card = ModelCard(hub.files("org/floor")["README.md"].decode()).data
    assert (card.license, card.datasets) == ("apache-2.0", ["ylecun/mnist"])
    assert card.pipeline_tag == "unconditional-image-generation"
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["push", str(run), *where]) == 0  # again: nothing changes
    assert [len(hub.repos[kind].commits) for kind in hub.repos] == [2, 2]


def test_the_hub_ranks_every_kept_result_as_our_boards_do(hub: HubServer) -> None:
    """Within a task, the order of the Hub is that of the page; also where a text counts chars."""
    results = read_results(kept_records())
    benchmark = benchmark_of(result.record for result in results).encode()
    hub.publish("org/board", {"eval.yaml": benchmark}, "dataset")
    assert fault_of("datasets", hub.files("org/board", "dataset")) is None
    for number, result in enumerate(results):
        files = eval_results(result.record, BOARD, "http://127.0.0.1/record.json")
        assert fault_of("models", {path: text.encode() for path, text in files.items()}) is None
        hub.publish(f"org/m{number}", {path: text.encode() for path, text in files.items()})
    ranked: dict[str, list[float]] = {}
    for entry in HfApi(endpoint=hub.url).get_dataset_leaderboard("org/board"):
        ranked.setdefault(entry.filename, []).append(-entry.value)
    count = 0
    for board in make_boards(results):
        rows = [row for row in board.rows if row.is_result and row.num_seeds == 1]
        if not rows:
            continue
        (path,) = eval_results(rows[0].result.record, BOARD, "http://127.0.0.1")
        on_the_hub = [nats for nats in ranked[path] if nats in {row.nats for row in rows}]
        assert on_the_hub == [row.nats for row in rows]
        count += len(rows) > 1
    assert count > 5


def test_versions_and_kinds_are_tasks_of_their_own() -> None:
    record = find_boards("mnist-mini")[0][0].rows[0].result.record
    assert task_id(record) == "mnist-mini-v1-exact"
    other = record.model_copy(
        update={"task": record.task.model_copy(update={"version": "2026 / B"})}
    )
    (path,) = eval_results(other, BOARD, "http://127.0.0.1")
    assert path == ".eval_results/board-mnist-mini-v2026-b-exact.yaml"
    benchmark = yaml.safe_load(benchmark_of([record, other, record]))
    assert [task["id"] for task in benchmark["tasks"]] == [task_id(record), task_id(other)]


def test_a_fine_tuned_model_names_its_base_and_is_left_out_unless_asked_for(
    hub: HubServer, run: Path
) -> None:
    arbench.push_board("org/board", [run])
    arbench.push(run, "org/floor", board="org/board", base_model="org/parent")
    api = HfApi(endpoint=hub.url)
    assert api.get_dataset_leaderboard("org/board") == []
    assert len(api.get_dataset_leaderboard("org/board", base_model_only=False)) == 1
    card = ModelCard(hub.files("org/floor")["README.md"].decode()).data
    assert card.base_model == "org/parent"


def test_results_of_somebody_else_stay(hub: HubServer, run: Path) -> None:
    arbench.push(run, "org/floor")
    mine = b"- dataset: {id: org/other, task_id: default}\n  value: 1\n"
    hub.publish("org/floor", {".eval_results/other.yaml": mine, FILE: mine})
    with pytest.raises(arbench.ConfigError, match=re.escape(FILE)):
        arbench.push(run, "org/floor", board="org/board")
    arbench.push(run, "org/floor", board="org/board", overwrite=True)
    files = hub.files("org/floor")
    assert files[".eval_results/other.yaml"] == mine
    (entry,) = parse_eval_result_entries(yaml.safe_load(files[FILE]))
    assert entry.dataset_id == "org/board"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--to", "org/floor", "--license", "Apache 2.0"], "names no licence"),
        (["--to", "org/floor", "--base-model", "parent"], "names no repository"),
        (["--board", "org/board", "--license", "mit"], "for --to only"),
    ],
)
def test_what_the_hub_would_not_take_is_refused_here(
    hub: HubServer, run: Path, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(run), *options]) == 2
    assert says in capsys.readouterr().err
    assert hub.repos == {}


def test_the_client_obeys_whoever_imported_it_first() -> None:
    """It reads its settings when it is imported, which `accelerate` may have done before."""
    code = (
        "import huggingface_hub.constants as c, arbench.hub.requests; "
        "from huggingface_hub.utils._runtime import is_xet_available; "
        "print(is_xet_available(), c.HF_HUB_DOWNLOAD_TIMEOUT)"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    for mine, expected in (({}, "False 30"), ({"HF_HUB_DOWNLOAD_TIMEOUT": "7"}, "False 7")):
        done = subprocess.run(
            [sys.executable, "-c", code], env=kept | mine, capture_output=True, text=True
        )
        assert done.stdout.strip() == expected, done.stderr
