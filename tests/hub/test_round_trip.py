"""What is pushed can be listed, loaded and verified by somebody else, from an empty cache."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hub_faults import Fault
from hub_server import HubServer
from huggingface_hub import ModelCard, RepoCard

import arbench
import arbench.errors
from arbench import Context, Density, Handed, Measured, Measurement
from arbench.boards.boards import find_boards
from arbench.boards.measured_boards import find_measured_boards
from arbench.boards.page import write_page
from arbench.cli import main
from arbench.data.tasks import open_task
from arbench.errors import NetworkError
from arbench.measure.per_event import load_per_event
from arbench.runs import zoo
from arbench.runs.measuring import measure_run
from arbench.runs.record.record import Record
from arbench.show.reporting import Reporter

ROOT = Path(__file__).parents[2]


def empty_cache(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARBENCH_CACHE", str(path))


def test_a_model_goes_up_in_one_commit_and_comes_back_the_same(
    hub: HubServer, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = arbench.push(run, "org/floor")
    assert [c.title for c in hub.repos["model", "org/floor"].commits] == [
        "initial commit",
        "bernoulli on mnist-mini",
    ]
    assert pushed.commit == hub.repos["model", "org/floor"].head.oid
    digits = open_task("mnist-mini").load("test").events[:20]
    expected = arbench.load(run).log_prob(digits)
    for number, name in enumerate(("hf:org/floor", f"hf:org/floor@{pushed.commit}")):
        empty_cache(tmp_path / f"cache {number}", monkeypatch)
        assert torch.equal(arbench.load(name).log_prob(digits), expected)
    assert arbench.verify("hf:org/floor", device="cpu").holds
    assert {"config.json", "record.json", "model.safetensors", "per_event.safetensors"} <= {
        *hub.files("org/floor")
    }


def test_the_card_carries_the_evaluation_for_machines(hub: HubServer, run: Path) -> None:
    arbench.push(run, "org/floor")
    card = ModelCard(hub.files("org/floor")["README.md"].decode())
    test = Record.read(run / "record.json").splits["test"]
    values = {result.metric_type: result for result in card.data.eval_results}
    assert values["nats_per_event"].metric_value == test.nats_per_event
    assert values["bits_per_pixel"].metric_value == test.bits_per_dim
    assert values["nats_per_event"].dataset_type == "mnist-mini"
    assert values["nats_per_event"].dataset_split == "test"
    assert 'arbench.load("hf:org/floor")' in card.text
    assert "![samples](samples.png)" in card.text
    assert "samples.png" in hub.files("org/floor")


def test_what_can_be_heard_goes_up_and_comes_back(hub: HubServer, run: Path) -> None:
    heard = {"samples.mid": b"MThd", "samples.wav": b"RIFF"}
    for name, content in heard.items():
        (run / name).write_bytes(content)
    folder = arbench.download(f"hf:org/floor@{arbench.push(run, 'org/floor').commit}")
    assert {name: (folder / name).read_bytes() for name in heard} == heard


def test_the_same_push_again_makes_no_second_commit(hub: HubServer, run: Path) -> None:
    first = arbench.push(run, "org/floor")
    assert arbench.push(run, "org/floor") == first
    assert len(hub.repos["model", "org/floor"].commits) == 2


def test_a_commit_in_the_cache_needs_no_network(hub: HubServer, run: Path) -> None:
    commit = arbench.push(run, "org/floor").commit
    folder = arbench.download(f"hf:org/floor@{commit}")
    before = len(hub.requests)
    assert arbench.download(f"hf:org/floor@{commit}") == folder
    assert len(hub.requests) == before


def test_without_a_network_a_branch_is_what_it_was_last(
    hub: HubServer,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arbench.push(run, "org/floor")
    folder = arbench.download("hf:org/floor")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert arbench.download("hf:org/floor") == folder
    told = capsys.readouterr().err
    assert told.startswith(
        "arbench: warning: the Hub: cannot find org/floor: http://127.0.0.1:9 cannot "
    )
    assert told.endswith(f"org/floor@main is what it was when last seen, {folder.name[:8]}\n")


@pytest.mark.parametrize("status", ["401", "403", "404", "503"])
def test_a_hub_that_says_no_is_believed(
    hub: HubServer, run: Path, status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was taken back or made private is not served from the cache as if nothing had been."""
    arbench.push(run, "org/floor")
    folder = arbench.download("hf:org/floor")
    hub.faults = [Fault("GET /api/models/org/floor/revision/main", status)]
    if status == "503":
        assert arbench.download("hf:org/floor") == folder
        assert "when last seen" in capsys.readouterr().err
    else:
        with pytest.raises(NetworkError, match="cannot find org/floor"):
            arbench.download("hf:org/floor")


def test_the_token_goes_to_the_hub_and_not_to_its_storage(hub: HubServer, run: Path) -> None:
    arbench.push(run, "org/floor")
    arbench.download("hf:org/floor")
    assert {(origin, token is not None) for origin, _, token in hub.requests} == {
        ("hub", True),
        ("storage", False),
    }


def test_downloading_to_a_folder_gives_a_run(hub: HubServer, run: Path, tmp_path: Path) -> None:
    arbench.push(run, "org/floor")
    out = arbench.download("hf:org/floor", out=tmp_path / "mine")
    assert {file.name for file in out.iterdir()} == {*hub.files("org/floor")} - {".gitattributes"}
    assert arbench.verify(out, device="cpu").holds
    with pytest.raises(arbench.errors.ConfigError, match="not empty"):
        arbench.download("hf:org/floor", out=out)


def test_a_board_has_one_file_per_result_and_a_page_of_all(
    hub: HubServer, result: Callable[[int], Path]
) -> None:
    arbench.push_board("org/board", [result(1)])
    arbench.push_board("org/board", [result(2)])
    files = hub.files("org/board", "dataset")
    assert {path for path in files if path.startswith("records/")} == {
        f"records/mnist-mini/bernoulli-{number:08x}{ending}"
        for number in (1, 2)
        for ending in (".json", ".safetensors")
    }
    assert rows_of(files) == 2
    arbench.push_board("org/board", [result(3), result(4)])
    assert rows_of(hub.files("org/board", "dataset")) == 4
    assert len(hub.repos["dataset", "org/board"].commits) == 4


def rows_of(files: dict[str, bytes]) -> int:
    """How many results a board's page shows."""
    rows = re.findall(r"^\|.*?\| bernoulli\b", files["mnist-mini.md"].decode(), re.MULTILINE)
    return len(rows)


def test_a_result_that_is_there_is_not_doubled(
    hub: HubServer, result: Callable[[int], Path]
) -> None:
    once = result(1)
    first = arbench.push_board("org/board", [once])
    assert arbench.push_board("org/board", [once]).commit == first.commit
    assert rows_of(hub.files("org/board", "dataset")) == 1


def test_the_kept_results_can_be_pushed_as_they_are(hub: HubServer) -> None:
    arbench.push_board("org/board")
    files = hub.files("org/board", "dataset")
    kept = {
        path.relative_to(ROOT / "leaderboards").as_posix()
        for path in (ROOT / "leaderboards" / "records").rglob("*")
        if path.is_file() and path.parent.name not in ("verified", "samples")
    }
    assert {path for path in files if path.startswith("records/")} == kept


@pytest.fixture
def own_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo without entries, in place of the package's."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    (folder / "index.json").write_text("{}")
    monkeypatch.setattr(zoo, "zoo_folder", lambda: folder)
    zoo.zoo_index.cache_clear()
    yield folder
    zoo.zoo_index.cache_clear()


def indexer() -> ModuleType:
    """`scripts/index_zoo.py` as a module."""
    spec = importlib.util.spec_from_file_location("index_zoo", ROOT / "scripts" / "index_zoo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_zoo_entry_on_the_hub_keeps_its_files_when_the_repository_moves_on(
    hub: HubServer,
    run: Path,
    own_zoo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commit = arbench.push(run, "org/floor").commit
    entries = indexer().index(own_zoo, {"mnist-mini/bernoulli": f"org/floor@{commit}"})
    (own_zoo / "index.json").write_text(json.dumps(entries))
    hub.publish("org/floor", {"model.safetensors": b"something else", "README.md": b"new"})
    empty_cache(tmp_path / "second cache", monkeypatch)

    assert main(["list", "zoo"]) == 0
    assert "on the Hub, org/floor" in capsys.readouterr().out
    assert main(["download", "mnist-mini/bernoulli"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder.name == commit
    assert (folder / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert main(["verify", "mnist-mini/bernoulli", "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["holds"]


def test_what_the_index_pins_is_not_left_to_the_hub_s_word(
    hub: HubServer,
    run: Path,
    own_zoo: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit = arbench.push(run, "org/floor").commit
    entries = indexer().index(own_zoo, {"mnist-mini/bernoulli": f"org/floor@{commit}"})
    (own_zoo / "index.json").write_text(json.dumps(entries))
    empty_cache(tmp_path / "second cache", monkeypatch)
    tree = hub.repos["model", "org/floor"].head.files
    tree["metrics.jsonl"] = type(tree["metrics.jsonl"])(b" " + tree["metrics.jsonl"].data[1:])
    with pytest.raises(arbench.errors.CheckpointError, match=r"metrics.jsonl.*sha256"):
        arbench.load("mnist-mini/bernoulli")
    assert files_in(tmp_path / "second cache") == {".lock"}


def files_in(folder: Path) -> set[str]:
    """The names of all files below."""
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_the_page_becomes_a_static_space(hub: HubServer, tmp_path: Path) -> None:
    first = arbench.push_space("org/page")
    files = hub.files("org/page", "space")
    assert {*files} == {".gitattributes", "README.md", "index.html"}
    card = RepoCard(files["README.md"].decode())
    assert card.data.to_dict()["sdk"] == "static"
    write_page(tmp_path / "site", find_boards(None)[0], find_measured_boards(None)[0])
    page, seal = files["index.html"].rsplit(b"<!-- ", 1)
    assert page == (tmp_path / "site" / "index.html").read_bytes()
    assert seal.startswith(b"written by arbench, ")
    assert b'id="live-data">{"drawing":{' in page
    assert len(page) < 10_000_000  # a larger file would have to be stored by LFS
    assert arbench.push_space("org/page").commit == first.commit


class Ones(Measurement):
    """How many dims of a test event are 1, twenty times over."""

    name = "ones"
    version = "1"
    unit = "dims"
    better = "higher"

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        ones = dataset.split("test").events.flatten(1).double().sum(1)
        # More than a header's worth of bytes, which nobody may take for another run's.
        return self.measured({f"ones_{number}": ones for number in range(200)})


def test_what_else_was_measured_goes_along(
    hub: HubServer, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = measure_run(run, [Ones()], device="cpu", reporter=Reporter())
    arbench.push(run, "org/floor")
    empty_cache(tmp_path / "cache", monkeypatch)
    folder = arbench.download("hf:org/floor")
    assert Record.read(folder / "record.json") == measured
    values = load_per_event(folder / "per_event.safetensors")
    assert len(values["ones"].values) == 200
    assert (folder / "per_event.safetensors").stat().st_size > 1 << 20
