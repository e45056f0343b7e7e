"""run, evaluate, sample, bench and compare, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbench.cli import main
from arbench.cli.old_options import as_verb
from arbench.data.tasks import open_task
from arbench.runs.record.record import Record

TINY = ["--task", "mnist-mini", "--limit", "200", "--device", "cpu"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two finished runs on the same few digits."""
    base = tmp_path_factory.mktemp("runs")
    made = ["--model", "made", "--set", "hidden=8", "--epochs", "2", "--out", str(base / "made")]
    floor = ["--model", "bernoulli", "--out", str(base / "bernoulli")]
    for arguments in (made, floor):
        assert main(["run", *TINY, *arguments]) == 0
    return {name: str(base / name) for name in ("made", "bernoulli")}


def test_json_is_the_record_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    arguments = ["run", *TINY, "--model", "bernoulli", "--out", str(out), "--json"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert Record.model_validate(json.loads(printed)) == Record.read(out / "record.json")
    assert str(tmp_path) not in printed


def test_a_run_says_what_it_resolved_and_ends_with_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["run", *TINY, "--model", "bernoulli", "--out", str(out)]) == 0
    output = capsys.readouterr()
    record = Record.read(out / "record.json")
    assert record.task.data_sha256[:12] in output.err
    assert f"{record.model.num_parameters:,} parameters" in output.err
    for nll in record.splits.values():
        assert f"{nll.nats_per_event:.3f} ± {nll.standard_error_nats:.3f}" in output.out
    assert "bits/pixel" in output.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--task", "mnits", "--model", "nade"], 2, "did you mean"),
        (["--task", "mnist-mini", "--model", "nad"], 2, "did you mean nade"),
        (["--task", "mnist-mini"], 2, "Missing option '--model'"),
        ([*TINY, "--model", "nade", "--set", "hiden=3"], 2, "did you mean 'hidden'"),
        ([*TINY, "--model", "nade", "--set", "hidden"], 2, "KEY=VALUE"),
        ([*TINY, "--model", "nade", "--budget", "soon"], 2, "such as 90s"),
        ([*TINY, "--model", "nade", "--budget", "9s", "--epochs", "1"], 2, "give one of them"),
        ([*TINY, "--model", "nade", "--device", "cuda:99"], 2, "CUDA devices"),
        ([*TINY, "--model", "cpt", "--set", "order=permuted", "--set", "num_masks=2"], 2, "cannot"),
        ([*TINY, "--model", "cpt", "--set", "num_copies=2"], 2, "all copies would be alike"),
        (
            [*TINY, "--model", "made", "--set", "num_copies=2", "--set", "num_masks=2"],
            2,
            "share one ordering and one mask",
        ),
        (["--task", "toy-ar1", "--model", "rnade", "--set", "num_copies=2"], 2, "cannot"),
        (["--resume", "/nowhere"], 3, "is this a run folder"),
    ],
)
def test_a_wrong_request_is_one_line_that_says_what_to_do(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", *arguments]) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1
    assert message in lines[0]


def test_evaluate_prints_the_record_s_number(
    folders: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = Record.read(Path(folders["made"]) / "record.json").splits["test"]
    command = ["evaluate", folders["made"], "--limit", "200", "--device", "cpu", "--json"]
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["total_nats"] == pytest.approx(recorded.total_nats, rel=1e-9)


def test_evaluate_names_the_task_s_own_unit(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--limit", "20", "--device", "cpu"]
    assert main(["evaluate", folders["bernoulli"], *command]) == 0
    assert " bits/pixel, 20 events" in capsys.readouterr().out
    out = tmp_path / "run"
    task = ["--task", "toy-markov", "--model", "bernoulli", "--out", str(out)]
    assert main(["run", *task, *command]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(out), *command]) == 0
    assert " bits/dim, 20 events" in capsys.readouterr().out


def test_compare_is_paired_and_antisymmetric(
    folders: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    results = []
    for pair in (("made", "bernoulli"), ("bernoulli", "made")):
        assert main(["compare", *(folders[name] for name in pair), "--json"]) == 0
        results.append(json.loads(capsys.readouterr().out))
    there, back = results
    assert there["difference_nats_per_event"] == -back["difference_nats_per_event"]
    assert there["standard_error_nats"] == back["standard_error_nats"] > 0
    nats = {n: Record.read(Path(f) / "record.json").splits["test"] for n, f in folders.items()}
    assert there["difference_nats_per_event"] == pytest.approx(
        nats["bernoulli"].nats_per_event - nats["made"].nats_per_event, rel=1e-9
    )
    assert there["verdict"] == back["verdict"]


def test_bench_times_every_sampler(
    folders: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", folders["bernoulli"], "--batch", "2", "--device", "cpu", "--json"]
    assert main(command) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in rows] == ["step", "fixed-point", "whole"]
    assert [row["extrapolated"] for row in rows] == [False, False, True]


def test_sample_depends_on_the_seed_alone(folders: dict[str, str], tmp_path: Path) -> None:
    pictures = {}
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        path = tmp_path / f"{name}.png"
        command = ["sample", folders["made"], "-n", "4", "--seed", seed, "--out", str(path)]
        assert main(command) == 0
        pictures[name] = path.read_bytes()
    assert pictures["a"] == pictures["b"] != pictures["c"]


def test_a_completion_keeps_the_given_rows_and_draws_the_others(
    folders: dict[str, str], tmp_path: Path
) -> None:
    digit = open_task("mnist-mini").load("test").events[0, 0].numpy() * 255
    Image.fromarray(digit.astype(np.uint8)).save(tmp_path / "given.png")
    command = ["sample", folders["made"], "-n", "4", "--given", str(tmp_path / "given.png")]
    command += ["--rows", "14", "--out", str(tmp_path / "out.png")]
    assert main(command) == 0
    grid = np.asarray(Image.open(tmp_path / "out.png"))
    # 2 x 2 tiles of 28 pixels with a gap of 2 around each, enlarged by a whole factor. Left of them
    # are the original and what was given of it, each a tile, below their titles.
    factor = 600 // 62
    assert (grid[40:, 16:, 0][::factor, ::factor][2:30, 2:30] == digit).all()
    small = grid[40:, 16 + 2 * (32 * factor + 16) :, 0][::factor, ::factor]
    tiles = [small[2 + 30 * r :, 2 + 30 * c :][:28, :28] for r in range(2) for c in range(2)]
    for tile in tiles:
        assert (tile[:14] == digit[:14]).all()
    assert any((tile[14:] != tiles[0][14:]).any() for tile in tiles[1:])


@pytest.mark.parametrize(
    ("extra", "code", "message"),
    [
        (["--rows", "3"], 2, "both --given IMAGE|SPLIT:N and --rows N"),
        (["--given", "missing.png", "--rows", "3"], 3, "not an image"),
        (["--given", "small.png", "--rows", "3"], 3, "5x5 pixels, expected 28x28"),
        (["--given", "small.png", "--rows", "99"], 2, "an image has 28 rows"),
        (["--out", "grid.jpg"], 2, "written as .png"),
        (["--out", "nowhere/grid.png"], 2, "does not exist"),
    ],
)
def test_a_sample_that_cannot_be_says_why(
    folders: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    extra: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("L", (5, 5)).save("small.png")
    assert main(["sample", folders["bernoulli"], "-n", "1", *extra]) == code
    assert message in capsys.readouterr().err


def test_a_foreign_task_s_number_is_per_what_that_task_counts(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.random.default_rng(0).integers(0, 2, (60, 28, 28))
    np.savez(tmp_path / "own.npz", images=rows.astype(np.uint8))
    arguments = ["--task", f"images:{tmp_path / 'own.npz'}", "--foreign", "--device", "cpu"]
    assert main(["evaluate", folders["bernoulli"], *arguments]) == 0
    assert "bits/pixel" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("run --device cpu --resume runs/a --json", "resume --device cpu --json -- runs/a"),
        ("run --resume=runs/a --device cpu", "resume --device cpu -- runs/a"),
        ("run --out runs --queue file.toml", "queue --out runs -- file.toml"),
        ("run --queue", "queue --"),
        ("run --task mnist --model nade", "run --task mnist --model nade"),
    ],
)
def test_an_old_option_is_the_verb_that_took_its_place(
    given: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert as_verb(given.split()) == meant.split()
    verb = meant.split()[0]
    said = capsys.readouterr().err
    assert (f"is now `arbench {verb} " in said) == (verb != "run")
