"""Repositories made to do harm: refused with one line, and nothing of them stays."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hub_server import HubServer
from safetensors.torch import load, save

import arbench
import arbench.errors
from arbench.cli import main
from arbench.data.tasks import Split
from arbench.files.atomic import sha256_of
from arbench.files.canonical import sealed
from arbench.measure.likelihood import SplitRecord
from arbench.probability.events import Discrete

Files = dict[str, bytes]
MARKER = "somebody-was-here"


@pytest.fixture
def files(trained: Path) -> Files:
    """What an honest push would hold."""
    names = ("config.json", "record.json", "model.safetensors", "per_event.safetensors")
    return {name: (trained / name).read_bytes() for name in names}


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (self.folder / MARKER,))  # type: ignore[return-value]


def edited(document: bytes, change: Callable[[dict], None]) -> bytes:
    raw = json.loads(document)
    change(raw)
    # A record is hashed again, as whoever edits one on purpose would do.
    return json.dumps(sealed(raw) if "measurements" in raw else raw).encode()


def traversal(name: str) -> Callable[[Files, Path], None]:
    def spoil(files: Files, tmp_path: Path) -> None:
        files[name] = b"owned"

    return spoil


def a_pickle(files: Files, tmp_path: Path) -> None:
    files["model.safetensors"] = pickle.dumps(Payload(tmp_path))


def duplicate_keys(files: Files, tmp_path: Path) -> None:
    entry = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    header = f"{{{entry},{entry}}}".encode()
    files["model.safetensors"] = struct.pack("<Q", len(header)) + header + bytes(4)


def nan_weights(files: Files, tmp_path: Path) -> None:
    weights = load(files["model.safetensors"])
    tensors = {name: torch.full_like(tensor, torch.nan) for name, tensor in weights.items()}
    files["model.safetensors"] = save(tensors)
    _own_up(files)


def other_weights(files: Files, tmp_path: Path) -> None:
    files["model.safetensors"] = files["model.safetensors"][:-1] + b"\1"


def too_many_weights(files: Files, tmp_path: Path) -> None:
    files["model.safetensors"] = save({"a": torch.zeros(1 << 20)})


def too_many_log_probs(files: Files, tmp_path: Path) -> None:
    files["per_event.safetensors"] = save({"likelihood:log_prob": torch.zeros(1 << 20)})


def a_long_header(files: Files, tmp_path: Path) -> None:
    files["model.safetensors"] = struct.pack("<Q", 1 << 62) + b"{}"


def huge_events(files: Files, tmp_path: Path) -> None:
    def grow(config: dict) -> None:
        config["members"][0]["layout"]["event"]["shape"] = [1 << 21, 1 << 21, 1 << 21]

    files["config.json"] = edited(files["config.json"], grow)


def a_huge_network(files: Files, tmp_path: Path) -> None:
    def grow(config: dict) -> None:
        config["model"] = "made"
        config["hyperparameters"] = {"hidden": 1 << 40}

    files["config.json"] = edited(files["config.json"], grow)


def code_for_a_name(files: Files, tmp_path: Path) -> None:
    def name(config: dict) -> None:
        config["model"] = "os:system"

    files["config.json"] = edited(files["config.json"], name)


def a_link(files: Files, tmp_path: Path) -> None:
    files["config.json"] = b"../../../../etc/passwd"  # what Git stores of a link is its target


def deep_json(files: Files, tmp_path: Path) -> None:
    files["record.json"] = b"[" * 100_000


def no_record(files: Files, tmp_path: Path) -> None:
    del files["record.json"]


def unfinished(files: Files, tmp_path: Path) -> None:
    files["record.json"] = edited(
        files["record.json"], lambda record: record.update(measurements={})
    )


def _own_up(files: Files) -> None:
    """Let the record name the weights as they are now."""
    sha256 = hashlib.sha256(files["model.safetensors"]).hexdigest()
    files["record.json"] = edited(
        files["record.json"], lambda record: record["sha256"].update(weights=sha256)
    )


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (traversal("../../outside.json"), "outside the repository"),
        (traversal("/etc/outside"), "outside the repository"),
        (traversal("a/../../outside"), "outside the repository"),
        (traversal("..\\outside"), "outside the repository"),
        (traversal("C:outside"), "outside the repository"),
        (traversal("a\0b"), "outside the repository"),
        (a_pickle, "is not plausible"),
        (duplicate_keys, "names a tensor twice"),
        (nan_weights, "not finite"),
        (other_weights, "sha256"),
        (too_many_weights, "its configuration allows"),
        (too_many_log_probs, "its record allows"),
        (a_long_header, "not plausible"),
        (huge_events, "more than 4,194,304 dims"),
        (a_huge_network, "hidden"),
        (code_for_a_name, "model"),
        (a_link, "not readable as JSON"),
        (deep_json, "record.json"),
        (no_record, "has no record.json"),
        (unfinished, "not finished"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_hostile_repository_is_refused_in_one_line_and_leaves_nothing(
    hub: HubServer,
    files: Files,
    spoil: Callable[[Files, Path], None],
    said: str,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(files, tmp_path)
    hub.publish("evil/model", files)
    before = files_below(tmp_path)
    assert main(["download", "hf:evil/model", "--out", str(tmp_path / "target")]) in (2, 3)
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert ".incoming" not in line
    assert files_below(tmp_path) == before
    assert not [*cache.rglob(".incoming"), *tmp_path.glob("*target*")]


def files_below(folder: Path) -> set[Path]:
    """All files, but for the lock of the cache."""
    return {path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize(
    "name",
    [
        "hf:../../etc",
        "hf:a/..",
        "hf:a/b/c",
        "hf:a",
        "hf:",
        "hf:a/b\\c",
        "hf:/a/b",
        "hf:a/-b",
        "hf:a--b/c",
        "hf:a/b.",
        "hf:a/b.git",
        "hf:a/b.GIT",
        f"hf:a/{'b' * 96}",
        "hf:a/b@../../x",
        "hf:a/b@x/y",
        "hf:a/b@.hidden",
        "hf:a\0b/c",
        "mnist/../nade",
        "../zoo/mnist/nade-",
        "mnist-mini/nade/",
    ],
)
def test_a_hostile_name_is_refused_before_any_request(
    hub: HubServer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(arbench.errors.ConfigError):
        arbench.load(name)
    assert hub.requests == []


def test_a_link_in_the_cache_is_not_followed(hub: HubServer, trained: Path, tmp_path: Path) -> None:
    arbench.push(trained, "org/floor")
    folder = arbench.download("hf:org/floor")
    (folder / "model.safetensors").rename(tmp_path / "elsewhere")
    (folder / "model.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(arbench.errors.CheckpointError, match=r"model.safetensors: is no file"):
        arbench.load("hf:org/floor")


def test_a_repository_of_too_many_files_is_refused(
    hub: HubServer, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a listing would look like a run without the rest."""
    arbench.push(run, "org/floor")
    monkeypatch.setattr("arbench.hub.client._MOST_FILES", 3)
    with pytest.raises(arbench.errors.CheckpointError, match="holds more than 3 files"):
        arbench.load("hf:org/floor")


def test_a_link_in_a_run_is_not_pushed(hub: HubServer, run: Path, tmp_path: Path) -> None:
    (run / "samples.png").unlink()
    (tmp_path / "secret").write_text("what nobody should read")
    (run / "samples.png").symlink_to(tmp_path / "secret")
    with pytest.raises(arbench.errors.CheckpointError, match="not a link"):
        arbench.push(run, "org/floor")
    assert hub.requests == []


@pytest.mark.parametrize("name", ["../outside", "a/b", "A task", ""])
def test_a_result_s_names_do_not_lead_out_of_a_board(hub: HubServer, run: Path, name: str) -> None:
    record = edited((run / "record.json").read_bytes(), lambda raw: raw["task"].update(name=name))
    (run / "record.json").write_bytes(record)
    with pytest.raises(arbench.errors.DataError, match="task.name = .* should match pattern"):
        arbench.push_board("org/board", [run])
    assert hub.requests == []


NO_RECORDS: dict[str, Files] = {
    "another schema": {"nade-00000000.json": b'{"schema_version": 1}'},
    "no JSON": {"nade-00000000.json": b"<html>", "nade-00000000.safetensors": b"{}"},
    "empty": {"nade-00000000.json": b"", "nade-00000000.safetensors": b""},
    "newer": {"nade-00000000.json": b'{"schema_version": 99}', "nade-00000000.safetensors": b""},
    "alone": {"nade-00000000.safetensors": b"{}"},
    "nested": {"nade-00000000.json": b"[" * 100_000, "nade-00000000.safetensors": b"{}"},
}


@pytest.mark.parametrize("content", NO_RECORDS)
def test_one_unreadable_record_is_in_nobody_s_way(
    hub: HubServer, trained: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {f"records/mnist-mini/{name}": data for name, data in NO_RECORDS[content].items()}
    hub.publish("org/board", files, "dataset")
    for pushes in (1, 1):  # the second finds everything as it is
        assert main(["push", str(trained), "--board", "org/board"]) == 0
        (line,) = capsys.readouterr().err.splitlines()
        start = "arbench: warning: datasets/org/board: left out records/mnist-mini/nade-00000000"
        assert line.startswith(f"{start}.json: ")
        assert len(hub.repos["dataset", "org/board"].commits) == 1 + pushes
    after = hub.files("org/board", "dataset")
    assert files.items() <= after.items()
    assert after["mnist-mini.md"].count(b"| bernoulli") == 1
    assert b"- `records/mnist-mini/nade-00000000.json`" in after["README.md"]


def test_an_unreadable_report_of_speeds_hides_no_result(
    hub: HubServer,
    trained: Path,
    result: Callable[[int], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    arbench.push_board("org/board", [result(1)])
    path = "records/mnist-mini/speed/bernoulli-00000001.speed-cpu.json"
    stray = "records/mnist-mini/speed/bernoulli-00000007.speed-cpu.json"
    hub.publish("org/board", {path: b"null", stray: b"null"}, "dataset")
    assert main(["push", str(trained), "--board", "org/board"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert f"left out {path}: " in line
    assert hub.files("org/board", "dataset")["mnist-mini.md"].count(b"| bernoulli") == 2


def test_an_own_result_takes_the_place_of_an_unreadable_one(
    hub: HubServer, result: Callable[[int], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    hub.publish("org/board", {"records/mnist-mini/bernoulli-00000001.json": b"null"}, "dataset")
    arbench.push_board("org/board", [result(1)])
    assert capsys.readouterr().err == ""
    assert hub.files("org/board", "dataset")["mnist-mini.md"].count(b"| bernoulli") == 1


def test_a_strange_path_on_a_board_is_passed_over(hub: HubServer, trained: Path) -> None:
    strange = {"records/mnist-mini/../../x.json": b"{}", "a\\b": b"", "records/mnist-mini/": b""}
    hub.publish("org/board", {**strange, "records/a/b-00000000.json": b""}, "dataset")
    arbench.push_board("org/board", [trained])
    assert strange.items() <= hub.files("org/board", "dataset").items()


def on_a_board(run: Path, change: Callable[[dict], None]) -> Files:
    """The files of a result on a board, its record changed."""
    record = edited((run / "record.json").read_bytes(), change)
    stem = f"records/mnist-mini/bernoulli-{json.loads(record)['sha256']['weights'][:8]}"
    log_probs = (run / "per_event.safetensors").read_bytes()
    return {f"{stem}.json": record, f"{stem}.safetensors": log_probs}


def diverged(record: dict) -> None:
    record["training"]["status"] = "diverged"
    record["measurements"] = {}


def no_dims(record: dict) -> None:
    record["measurements"]["likelihood"]["test"]["num_dims"] = 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record["training"].update(limit=5), "only finished runs on the whole data"),
        (diverged, "only finished runs on the whole data"),
        (lambda record: record["training"].update(status="diverged"), "has no measurements"),
        (lambda record: record["task"].update(pinned=False), "has no pinned data"),
        (lambda record: record.update(measurements={}), "has no test number"),
        (no_dims, "num_dims"),
        (
            lambda record: record["measurements"]["likelihood"]["test"].update(bits_per_dim=0.01),
            "bits_per_dim is not",
        ),
    ],
)
def test_a_board_takes_nothing_that_no_run_could_bring_onto_it(
    hub: HubServer,
    result: Callable[[int], Path],
    change: Callable[[dict], None],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever pushes next is told which record it is; it is not ranked, and stays as it is."""
    forged = on_a_board(result(1), change)
    hub.publish("org/board", forged, "dataset")
    assert main(["push", str(result(2)), "--board", "org/board"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "datasets/org/board: left out records/mnist-mini/bernoulli-00000001.json: " in line
    assert said in line
    after = hub.files("org/board", "dataset")
    assert forged.items() <= after.items()
    assert after["mnist-mini.md"].count(b"| bernoulli") == 1


def test_a_result_on_fewer_events_stands_apart_and_in_nobody_s_way(
    hub: HubServer, result: Callable[[int], Path]
) -> None:
    """It adds up, and says that it is of the same data and all of them."""
    few = result(1)
    log_probs = load((few / "per_event.safetensors").read_bytes())["likelihood:log_prob"][:50]
    (few / "per_event.safetensors").write_bytes(save({"test": log_probs}))
    split = Split(torch.zeros(50, 784, dtype=torch.long))
    test = SplitRecord.of(log_probs, split, Discrete(2), "exact")

    def claim(record: dict) -> None:
        record["measurements"]["likelihood"] |= {"test": test.model_dump(), "validation": None}
        record["sha256"]["per_event"] = sha256_of(few / "per_event.safetensors")

    hub.publish("org/board", on_a_board(few, claim), "dataset")
    for number in (2, 3):
        arbench.push_board("org/board", [result(number)])
    page = hub.files("org/board", "dataset")["mnist-mini.md"].decode()
    apart, together = page.split("\n## ")[1:]
    assert "39,200 test dims in 50 events" in apart.splitlines()[0]
    assert "784,000 test dims in 1,000 events" in together.splitlines()[0]
    assert [section.count("| bernoulli") for section in (apart, together)] == [1, 2]
