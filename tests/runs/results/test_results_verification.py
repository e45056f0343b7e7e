"""`arbench verify` of any measurement: asked again and held value by value, or not judged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from answering import offer
from forging import forge
from torch import Tensor

import arbench
from arbench import Context, Density, Handed, Impossible, Measured, Measurement, Row
from arbench.cli import main
from arbench.files.tensors import load_tensors, save_tensors
from arbench.runs.measuring import measure_run
from arbench.runs.results.verification import TOLERANCE_SHARE, value_tolerances
from arbench.show.reporting import Reporter


class PerOne(Measurement):
    """Nats of an event beside its number of ones; two numbers of them, and a picture."""

    name = "per-one"
    version = "1"
    unit = "nats/one"
    better = "lower"

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        ones = 1 + dataset.split("test").events.flatten(1).double().sum(1)
        (context.folder / "it.txt").write_text("again")
        return self.measured(
            {"nats": -context.log_probs("test"), "ones": ones},
            rows=[Row("ones", ones.mean().item(), "ones", "lower")],
            baselines=[Row("nothing", 7.0, "nats/one", "lower")],
        )

    def value_of(self, values: Mapping[str, Tensor], weights: Tensor) -> float:
        return float(values["nats"] @ weights / (values["ones"] @ weights))


class Second(Measurement):
    """The mean of the first of two values, which is not the first by name."""

    name = "second"
    version = "1"
    unit = "z"
    better = "higher"

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        count = len(dataset.split("test"))
        return self.measured({"z": torch.ones(count).double(), "a": torch.zeros(count).double()})


class Placed(Second):
    """The same, of one device alone."""

    name = "placed"

    def __init__(self, *, device: str = "") -> None:
        self.device = device


class Draws(Measurement):
    """Something that is another each time."""

    name = "draws"
    version = "1"
    unit = "heads"
    better = "higher"
    reproducible = False
    asked = 0

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        Draws.asked += 1
        return self.measured({"heads": torch.rand(len(dataset.split("test"))).double()})


@pytest.fixture(autouse=True)
def _measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, PerOne, Second, Placed, Draws)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("verified") / "run"
    options = {"epochs": 1, "limit": 200, "device": "cpu", "out": folder}
    return arbench.run("toy-markov", "bernoulli", **options).path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of it, with measurements in its record."""
    run = Path(shutil.copytree(made, tmp_path / "run"))
    measure_run(run, [PerOne(), Second(), Draws()], device="cpu", reporter=Reporter())
    Draws.asked = 0
    return run


def verify(run: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    code = main(["verify", str(run), "--device", "cpu", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["holds"] == (code == 0)
    return code, {result["key"]: result for result in found["results"]}


def test_what_the_weights_give_again_holds_and_what_is_never_the_same_is_not_judged(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = run / "measurements" / "per-one" / "it.txt"
    picture.write_text("mine")
    code, found = verify(run, capsys)
    assert code == 0
    assert {key: result["holds"] for key, result in found.items()} == {
        "per-one": True,
        "second": True,
        "draws": None,
    }
    assert found["per-one"]["found"] == pytest.approx(found["per-one"]["recorded"], rel=1e-9)
    assert found["per-one"]["largest_difference"] == 0
    assert found["second"]["found"] == 1
    assert found["draws"]["unjudged"] == "it gives another number each time"
    assert Draws.asked == 0
    assert picture.read_text() == "mine"
    assert main(["verify", str(run), "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    assert "per-one holds: recorded" in text
    assert "draws is not judged: recorded" in text


def of_values(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[Path], None]:
    """Change values of a run, and its number with them."""

    def apply(run: Path) -> None:
        file = run / "per_event.safetensors"
        tensors = load_tensors(file)
        tensors[name] = change(tensors[name])
        save_tensors(file, tensors)
        values = {part: tensors[f"per-one:{part}"] for part in ("nats", "ones")}
        number = PerOne().value_of(values, torch.ones_like(values["ones"]))

        def write(raw: dict[str, Any]) -> None:
            raw["measurements"]["per-one"]["rows"][0]["value"] = number

        forge(run, write)

    return apply


def of_section(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change what a record says of a result."""

    def apply(run: Path) -> None:
        forge(run, lambda raw: change(raw["measurements"]["per-one"]))

    return apply


@pytest.mark.parametrize(
    ("forged", "words"),
    [
        (of_values("per-one:nats", lambda nats: nats - 0.01), "largest difference"),
        (
            of_values("per-one:nats", lambda n: n + 0.01 * (torch.arange(200) % 2 * 2 - 1)),
            "largest difference of a value: 1.0e-02",
        ),
        (
            of_values("per-one:nats", lambda n: n + 0.01 * (torch.arange(200) == 7)),
            "largest difference of a value: 1.0e-02",
        ),
        (of_section(lambda s: s["rows"][0].update(value=0.1)), "its number is 0.1, and its values"),
        (of_section(lambda s: s["rows"][0].update(error=1e-9)), "misstates rows.test.error"),
        (of_section(lambda s: s["rows"][1].update(value=1.0)), "misstates rows.ones"),
        (of_section(lambda s: s["rows"][0].update(better="higher")), "misstates rows.test.unit"),
        (of_section(lambda s: s["rows"].pop()), "misstates rows"),
        (of_section(lambda s: s["baselines"][0].update(value=9.0)), "misstates baselines.nothing"),
        (of_section(lambda s: s.update(opened={"mnist": "0" * 64})), "misstates opened"),
        (of_section(lambda s: s.update(seed=7)), "misstates seed"),
        (of_section(lambda s: s.update(index="validation")), "misstates index"),
        (of_section(lambda s: s.update(num_groups=20)), "misstates num_groups"),
        (of_section(lambda s: s.update(details={"kind": "bound"})), "misstates details.kind"),
        (of_section(lambda s: s.update(num_values=0)), "it is of 0 values, and there are 200"),
    ],
)
def test_what_is_not_so_does_not_hold(
    run: Path,
    forged: Callable[[Path], None],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    forged(run)
    code, found = verify(run, capsys)
    assert code == 1
    assert found["per-one"]["holds"] is False
    assert found["second"]["holds"] is True
    assert main(["verify", str(run), "--device", "cpu"]) == 1
    text = capsys.readouterr().out
    assert f"{run} DOES NOT HOLD" in text
    line = next(line for line in text.splitlines() if line.startswith("per-one"))
    assert line.startswith("per-one DOES NOT HOLD: recorded")
    assert words in line


def test_another_version_or_no_plugin_is_not_judged(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PerOne, "version", "2")
    offer(monkeypatch, PerOne)
    code, found = verify(run, capsys)
    assert code == 0
    assert found["per-one"]["unjudged"].endswith("by version 1, and version 2 is installed")
    assert "no measurement is called 'second'" in found["second"]["unjudged"]


def test_a_question_that_means_nothing_here_or_fails_does_not_hold(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def impossible(*_: object) -> Measured:
        raise Impossible("better than the truth")

    with monkeypatch.context() as patched:
        patched.setattr(PerOne, "measure", impossible)
        code, found = verify(run, capsys)
        assert code == 1
        assert found["per-one"]["fault"] == "better than the truth"
    monkeypatch.setattr(Second, "refuses", lambda *_: "there is no second here")
    code, found = verify(run, capsys)
    assert code == 1
    assert found["second"]["fault"] == "there is no second here"


def test_what_is_made_for_a_device_that_is_not_here_is_not_judged(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measure_run(run, [Placed(device="there")], device="cpu", reporter=Reporter())
    monkeypatch.setattr(Placed, "refuses", lambda *_: "it is elsewhere")
    code, found = verify(run, capsys)
    assert code == 0
    assert found[Placed(device="there").key]["unjudged"] == "it is elsewhere"


def test_rounding_is_in_proportion_to_the_values() -> None:
    small, large = torch.full((2,), 1e-6).double(), torch.full((2,), 1e6).double()
    assert value_tolerances(small).tolist() == pytest.approx([1e-9] * 2, rel=1e-2)
    assert (value_tolerances(large) > TOLERANCE_SHARE).all()
    assert (value_tolerances(large) < 10).all()
