"""`arbench leaderboard`, and the report of `arbench bench` that it joins."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import arbench
from arbench.boards.speeds import SpeedReport
from arbench.cli import main
from arbench.cli.bench import command as bench
from arbench.errors import ConfigError
from arbench.runs.record.record import Record


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that may stand on a board and one that may not."""
    folder = tmp_path_factory.mktemp("runs")
    arbench.run("toy-markov", "bernoulli", epochs=1, device="cpu", out=folder / "whole")
    arbench.run("toy-markov", "bernoulli", limit=100, device="cpu", out=folder / "part")
    return folder


def test_a_board_is_printed_with_what_its_ranks_mean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", "mnist"]) == 0
    text = capsys.readouterr().out
    assert "bits/pixel" in text
    assert "85.47 ± 0.22" in text
    assert "EugenHotaj/pytorch-generative README (2021)" in text
    assert "Holm" in text


def test_without_a_task_all_boards_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", "--format", "md"]) == 0
    text = capsys.readouterr().out
    for task in ("mnist", "mnist-static", "uci-dna", "toy-ar1, densities"):
        assert f"\n## {task}\n" in f"\n{text}"


def test_an_unknown_task_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", "mnits"]) == 2
    assert "did you mean mnist" in capsys.readouterr().err


def test_own_runs_stand_among_the_kept_ones_and_say_so(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leaderboard", "toy-markov", "--runs", str(runs), "--format", "json"]) == 0
    out, err = capsys.readouterr()
    (board,) = json.loads(out)
    assert [row["status"] for row in board["rows"]] == ["local"]
    assert "left out" in err
    assert "part: only finished runs on the whole data stand on boards" in err


@pytest.mark.parametrize("arguments", [[], ["--format", "md"], ["--format", "csv"], ["--html"]])
def test_a_stranger_s_run_controls_neither_the_terminal_nor_a_page(
    runs: Path, tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither its record nor a report of its speed does."""
    for name, file in (("a", "record.json"), ("b", "speed-there.json")):
        run = Path(shutil.copytree(runs / "whole", tmp_path / "runs" / name))
        (report,) = SpeedReport.of_record(Record.read(run / "record.json"))
        report.write(run / "speed-there.json")
        raw = json.loads((run / file).read_text())
        raw["environment"]["cpu"] = "a\x1b[2Jb"
        rows = raw["sampling"] if name == "b" else raw["measurements"]["speed"]["rows"]
        rows[0]["device"] = "a\x1b[2Jb"
        (run / file).write_text(json.dumps(raw))
    shutil.copytree(runs / "whole", tmp_path / "runs" / "c\x1b[2J")
    page = [str(tmp_path / "page")] if arguments == ["--html"] else []
    assert main(["leaderboard", "--runs", str(tmp_path / "runs"), *arguments, *page]) == 0
    out, err = capsys.readouterr()
    assert err.count("left out") == 2
    assert "\x1b" not in out + err
    assert all("\x1b" not in file.read_text() for file in tmp_path.glob("page/*"))


def test_a_curve_that_is_cut_is_named_and_its_row_stands_there_without_it(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(runs / "whole", tmp_path / "runs" / "cut"))
    metrics = run / "metrics.jsonl"
    metrics.write_text(metrics.read_text()[:-20])
    whole = Path(shutil.copytree(runs / "whole", tmp_path / "whole"))
    for runs_folder, curves in ((run.parent, 0), (whole, 1)):
        page = tmp_path / "page"
        arguments = ["toy-markov", "--runs", str(runs_folder), "--html", str(page)]
        assert main(["leaderboard", *arguments]) == 0
        error = capsys.readouterr().err
        said = f"left out: the training curve of {run}: {metrics}, line 1: expected a line of JSON"
        assert (said in error) == (curves == 0)
        text = (page / "index.html").read_text()
        assert text.count('"curve":[[') == curves
        assert text.count('"curve":[]') == 1 - curves


def test_a_run_that_is_kept_already_stands_there_once() -> None:
    zoo = Path(__file__).parents[2] / "zoo"
    before, after = arbench.leaderboard("mnist-mini"), arbench.leaderboard("mnist-mini", runs=zoo)
    assert [*before["model"]] == [*after["model"]]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        arbench.leaderboard("mnist", runs=tmp_path / "nowhere")


def test_bench_leaves_a_report_that_boards_join(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs / "whole"
    assert main(["bench", str(run), "--batch", "3", "--device", "cpu"]) == 0
    (report,) = run.glob("speed-*.json")
    assert f"report: {report}" in capsys.readouterr().out
    main(["leaderboard", "toy-markov", "--runs", str(runs), "--format", "json"])
    (board,) = json.loads(capsys.readouterr().out)
    methods = {row["method"] for row in json.loads(report.read_text())["sampling"]}
    assert {speed["method"] for speed in board["rows"][0]["speeds"]} >= methods
    assert "whole" in methods


def test_bench_writes_where_it_is_told(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    arguments = ["bench", str(runs / "whole"), "--batch", "2", "--method", "step", "--json"]
    assert main([*arguments, "--device", "cpu", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["sampling"][0]["batch_size"] == 2


@pytest.fixture
def not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(*_: object, **__: object) -> None:
        raise AssertionError("timed before the place was looked at")

    monkeypatch.setattr("arbench.api.measure_sampling", timed)


@pytest.mark.usefixtures("not_timed")
@pytest.mark.parametrize(
    ("name", "words"), [("", "is a folder"), ("x/report.json", "does not exist; create it first")]
)
def test_bench_refuses_a_bad_place_before_anything_is_timed(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    out = str(tmp_path / name)
    assert main(["bench", str(runs / "whole"), "--device", "cpu", "--out", out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert out in line
    assert words in line


@pytest.mark.usefixtures("not_timed")
def test_bench_needs_a_run_s_folder_only_for_the_report_in_it(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = runs / "whole"
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder and allowed(path, mode))
    assert main(["bench", str(folder), "--device", "cpu"]) == 2
    assert f"{folder}: you may not write there" in capsys.readouterr().err
    with pytest.raises(AssertionError):
        bench.callback(folder, "cpu", (), (1,), False, tmp_path / "report.json", False)


def test_bench_says_that_a_batch_is_too_large(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bench", str(runs / "whole"), "--device", "cpu", "--batch"]
    assert main([*arguments, "9" * 23]) == 2
    assert "not in the range" in capsys.readouterr().err

    def measure(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")

    monkeypatch.setattr("arbench.api.measure_sampling", measure)
    assert main([*arguments, "1000000"]) == 1
    error = capsys.readouterr().err
    assert "a batch of 1,000,000 is too many at once; use a smaller --batch" in error
    assert "enforce" not in error


@pytest.mark.parametrize("name", ["file", "file/page"])
def test_a_page_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "file").touch()
    assert main(["leaderboard", "mnist-mini", "--html", str(tmp_path / name)]) == 2
    assert f"{tmp_path / 'file'}: is no folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == ""


def test_a_task_whose_published_numbers_are_unchecked_names_the_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["leaderboard", "uci-adult"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "did you mean" not in line
    assert "--unchecked shows them" in line
    assert main(["leaderboard", "uci-adult", "--unchecked"]) == 0
    assert "(unchecked)" in capsys.readouterr().out


def test_a_task_without_any_result_is_no_misspelling(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", "toy-parity"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "there is no result on toy-parity yet" in line
    assert main(["leaderboard", "toy-ar2"]) == 2
    assert "did you mean toy-ar1?" in capsys.readouterr().err
