"""`arbench check`: a table, one sentence per failure, exit code 1, JSON, and a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from arbench.cli import main
from arbench.registry.manager import Registry
from arbench.testing import suites

WRONG = """
from arbench.testing.toys import LinearNetwork

class Leaks(LinearNetwork):
    known_failures = {"influence": "I like it"}

    def forward(self, sites):
        return super().forward(sites) + 0.5 * sites

class Blind(LinearNetwork):
    known_failures = {"influence": "the first site is a secret"}

    def forward(self, sites):
        return super().forward(sites * (sites.new_tensor(range(sites.shape[1]))[:, None] > 0))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of wrong models, the current one."""
    (tmp_path / "wrong_for_check.py").write_text(WRONG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_failure_is_one_sentence_with_the_evidence(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "wrong_for_check:Leaks", "--only", "causality"]) == 1
    out = capsys.readouterr().out
    assert "causality  15 failed, 3 not applicable" in out
    (line,) = [line for line in out.splitlines() if line.startswith("FAILED")]
    assert "causality on binary-2x3 raster and 14 more: params at site 0 moved by 0.5" in line
    assert line.endswith("a site sees its own value")


def test_a_declared_failure_shows_and_passes(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "wrong_for_check:Blind", "--only", "influence"]) == 0
    out = capsys.readouterr().out
    assert "FAILED" not in out
    assert "(declared: the first site is a secret)" in out


def test_json_has_every_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "toy-markov", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["name"], found["status"]) == ("task", "toy-markov", "passed")
    status = {result["check"]: result["status"] for result in found["results"]}
    assert status["true_log_prob"] == "passed"
    assert status["hashes"] == "not applicable"


def test_without_a_name_everything_is_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = suites.registry()
    small = Registry([full.models["fvsbn"], full.heads["gaussian"], full.tasks["toy-ar1"]])
    monkeypatch.setattr(suites, "registry", lambda: small)
    options = [f"--only={check}" for check in ("causality", "prepare", "order", "spec")]
    assert main(["check", "--all", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[1:5]] == ["fvsbn", "gaussian", "layout", "toy-ar1"]
    assert lines[-1] == "4 checked: 4 passed"


def test_a_task_without_its_files_takes_one_line_among_many(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tasks = suites.registry().tasks
    small = Registry([tasks["toy-parity"], tasks["uci-adult"]])
    monkeypatch.setattr(suites, "registry", lambda: small)
    for folder in ("ARBENCH_DATA", "ARBENCH_CACHE"):
        monkeypatch.setenv(folder, str(tmp_path))
    assert main(["check", "--only", "spec", "--only", "splits_disjoint"]) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("not applicable: ")]
    assert line.startswith("not applicable: uci-adult: uci/adult.npz is not on this machine")
    assert out.endswith("2 checked: 1 passed, 1 not applicable\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nade", "--only", "causalty"], "did you mean causality?"),
        (["nade", "--all"], "--all checks everything"),
        (["--picture", "field.png"], "give the name"),
        (["toy-ar1", "--receptive-field"], "only models have a receptive field"),
        (["nade", "--receptive-field", "--shape", "3x3"], "--shape is C,H,W or D"),
        (["nade", "--picture", "field.png", "--shape", "9"], "of images"),
        (["nade", "--picture", "field.jpg"], "is a .png or .svg file"),
        (["nade", "--picture", "nowhere/field.png"], "does not exist; create it"),
        (["nade", "--shape", "9"], "--shape is for"),
        (["nade", "--set", "hidden=9"], "--set is for"),
        (["nade", "--receptive-field", "--set", "hiden=9"], "did you mean 'hidden'?"),
        (["nade", "--receptive-field", "--set", "epochs=9"], "no setting of the network itself"),
        (["nade", "--receptive-field", "--set", "hidden"], "expected KEY=VALUE"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_receptive_field_is_told_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "field.png"
    assert main(["check", "pixelcnn", "--picture", str(picture), "--shape", "1,3,4"]) == 0
    out = capsys.readouterr().out
    small = "pixelcnn with hidden=6, num_blocks=2, first_kernel=3, outputs=9: 12 sites"
    assert out.startswith(small)
    assert "small network; --set" in out
    assert "(1, 0) never sees (0, 2)" in out
    size = (4 * (4 * 6 + 4) + 4, 3 * (3 * 6 + 4) + 4)
    with Image.open(picture) as image:
        assert image.size == size
    drawing = tmp_path / "field.svg"
    assert main(["check", "pixelcnn", "--picture", str(drawing), "--shape", "1,3,4"]) == 0
    assert f'viewBox="0 0 {size[0]} {size[1]}"' in drawing.read_text()


def test_settings_of_the_network_that_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    field = ["check", "pixelcnn", "--receptive-field", "--shape", "1,2,5"]
    assert main([*field, "--set", "first_kernel=7", "--set", "network.num_blocks=3"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(
        "pixelcnn with hidden=6, num_blocks=3, first_kernel=7, outputs=9: 10 sites"
    )
    assert "(1, 0) never sees (0, 4)" in captured.out
    assert "(0, 3)" not in captured.out
    assert "receptive field: done" in captured.err
    lists = ["check", "wavenet", "--receptive-field", "--shape", "9", "--set", "dilations=2"]
    assert main(lists) == 0
    assert "dilations=[2]: 9 sites" in capsys.readouterr().out


def test_a_picture_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.access", lambda place, mode: False)
    picture = tmp_path / "field.png"
    assert main(["check", "nade", "--picture", str(picture)]) == 2
    error = f"arbench: error: {picture}: you may not write there; choose another place"
    assert capsys.readouterr().err.splitlines() == [error]
