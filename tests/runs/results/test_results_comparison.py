"""Comparison by any measurement: direction, pairs, groups, and what is refused."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from answering import add_result, offer
from asked import Auroc, Cost, Mean, Ratio
from making import noise

import arbench
from arbench.cli import main
from arbench.errors import ConfigError, DataError
from arbench.files.tensors import load_tensors, save_tensors
from arbench.measure.statistics.seeds import RecipesDifference
from arbench.probability.events import Discrete, EventSpec
from arbench.runs.record.record import Record
from arbench.runs.zoo import zoo_folder

COUNT = 1000  # test events of mnist-mini


@pytest.fixture(autouse=True)
def _measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, Mean, Cost, Ratio, Auroc)


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs on the same events."""
    a, b = (Path(shutil.copytree(zoo_folder() / "mnist-mini" / "nade", tmp_path / n)) for n in "ab")
    return a, b


@pytest.mark.parametrize(("measurement", "better"), [(Mean(), "a"), (Cost(), "b")])
def test_the_better_one_is_better_whichever_direction_that_is(
    runs: tuple[Path, Path],
    measurement: Mean,
    better: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A has the higher values: that is better, or worse, as the measurement says."""
    a, b = runs
    events = 5 * noise(0, COUNT)
    name = "log_prob" if better == "a" else "nats"
    add_result(a, measurement, {name: events + 0.2})
    add_result(b, measurement, {name: events + 0.1 * noise(1, COUNT)})
    assert main(["compare", str(a), str(b), "--measurement", measurement.key]) == 0
    text = capsys.readouterr().out
    assert f"{runs[better == 'b']} is better" in text
    assert f"{measurement.unit} ({measurement.better} is better) over 1,000 values" in text
    assert main(["compare", str(a), str(b), "--measurement", measurement.key, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measurement"] == measurement.key
    # Without pairing the error would be that of the events, seventy times as large.
    mean = 0.2 - 0.1 * noise(1, COUNT).mean().item()
    assert found["difference"] == pytest.approx(mean if better == "a" else -mean)
    expected = 0.1 * noise(1, COUNT).std().item() / math.sqrt(COUNT)
    assert found["standard_error"] == pytest.approx(expected)
    assert arbench.compare(a, b, measurement=measurement.key).nats == found["difference"]


def test_a_ratio_is_compared_by_its_own_number_over_groups(runs: tuple[Path, Path]) -> None:
    """Of ten copies of each of a hundred events, a hundred are independent."""
    a, b = runs
    groups = torch.arange(COUNT) // 10
    each, dims = 5 + noise(0, 100), 1 + torch.rand(100, dtype=torch.float64)
    better = each - 0.01 * noise(1, 100)
    values = [{"nats": v[groups], "dims": dims[groups]} for v in (better, each)]
    for run, mine in zip(runs, values, strict=True):
        add_result(run, Ratio(), mine, groups)
    found = arbench.compare(a, b, measurement="ratio")
    exact = (each.sum() - better.sum()) / dims.sum()
    assert found.nats == pytest.approx(exact.item())
    assert found.num_groups == 100
    # The error of a ratio over 100 events by the delta method, whose copies add nothing.
    residual = each - better - exact * dims
    delta = math.sqrt(residual.square().sum().item()) / dims.sum().item()
    assert found.standard_error == pytest.approx(delta, rel=0.15)


def test_seeds_on_both_sides_are_compared_as_recipes(tmp_path: Path) -> None:
    for side, shift in (("a", 0.0), ("b", -1.0)):
        for seed in range(3):
            run = tmp_path / side / f"seed-{seed}"
            arbench.run("toy-markov", "bernoulli", epochs=1, limit=50, seed=seed, out=run)
            count = Record.read(run / "record.json").splits["test"].num_events
            values = noise(9, count) + shift + 0.1 * noise(seed, count)
            dims = torch.ones(count, dtype=torch.float64)
            add_result(run, Ratio(), {"nats": values, "dims": dims})
    found = arbench.compare(tmp_path / "a", tmp_path / "b", measurement="ratio")
    assert isinstance(found, RecipesDifference)
    assert found.nats == pytest.approx(-1.0)
    one = arbench.compare(tmp_path / "a", tmp_path / "b" / "seed-0", measurement="ratio")
    assert not isinstance(one, RecipesDifference)
    values = sum(0.1 * noise(seed, 50).mean().item() for seed in range(3)) / 3
    assert one.nats == pytest.approx(0.1 * noise(0, 50).mean().item() - 1 - values)


def test_what_cannot_be_compared_is_refused_in_a_sentence(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    a, b = runs
    values = {"log_prob": noise(0, COUNT)}
    add_result(a, Mean(), values)

    def refused(words: str, **parts: object) -> None:
        run = Path(shutil.copytree(b, tmp_path / f"c{len([*tmp_path.iterdir()])}"))
        of = parts.pop("values", values)
        groups = parts.pop("groups", None)
        add_result(run, Mean(), of, groups, **parts)  # type: ignore[arg-type]
        with pytest.raises(DataError, match=words):
            arbench.compare(a, run, measurement="mean")

    with pytest.raises(DataError, match=f"there is no mean .* `arbench measure {b} 'mean'`"):
        arbench.compare(a, b, measurement="mean")
    refused("by version 1, the other by version 2", version="2")
    refused("settings", settings={"against": "x"})
    refused("values of test, the other of validation", index="validation")
    refused("1,000 values, the other 900", values={"log_prob": noise(0, 900)})
    refused("group the same events differently", groups=torch.arange(COUNT) // 2)
    refused("different contents of mnist", opened={"mnist": "0" * 64})
    refused("kind None, the other of kind bound", details={"kind": "bound"})
    refused("is of 900 values, and there are 1,000", num_values=900)
    add_result(b, Mean(), values, opened={"artifact:judge": "0" * 64})
    assert arbench.compare(a, b, measurement="mean").nats == 0.0


def test_results_on_other_data_or_of_an_older_version_are_refused(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = runs
    add_result(a, Mean(), {"log_prob": noise(0, COUNT)})
    add_result(b, Mean(), {"log_prob": noise(0, COUNT)})
    record = Record.read(b / "record.json")
    task = record.task.model_copy(update={"data_sha256": "0" * 64})
    record.model_copy(update={"task": task}).write(b / "record.json")
    with pytest.raises(DataError, match="only results on the same events are paired"):
        arbench.compare(a, b, measurement="mean")
    monkeypatch.setattr(Mean, "version", "2")
    with pytest.raises(DataError, match="version 1 of mean, and version 2 is installed"):
        arbench.compare(a, a, measurement="mean")


def test_values_that_are_not_the_record_s_are_refused(runs: tuple[Path, Path]) -> None:
    a, b = runs
    for run in runs:
        add_result(run, Mean(), {"log_prob": noise(0, COUNT)})
    file = b / "per_event.safetensors"
    tensors = load_tensors(file)
    save_tensors(file, tensors | {"mean:log_prob": tensors["mean:log_prob"] + 1})
    with pytest.raises(arbench.ArbenchError, match="its sha256 is not the one"):
        arbench.compare(a, b, measurement="mean")
    from forging import forge

    forge(b)
    with pytest.raises(DataError, match=r"mean: its number is .*, and its values make"):
        arbench.compare(a, b, measurement="mean")


def test_a_measurement_that_is_not_here_or_has_no_values_is_named(
    runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = runs
    with pytest.raises(ConfigError, match="no measurement is called 'meen': did you mean mean"):
        arbench.compare(a, b, measurement="meen")
    for run in runs:
        add_result(run, Mean(), {"log_prob": noise(0, COUNT)}, num_values=0)
    with pytest.raises(DataError, match="mean leaves no values of single events"):
        arbench.compare(a, b, measurement="mean")
    missing = property(lambda registered: ("torchaudio",))
    monkeypatch.setattr("arbench.registry.manager.Registered.missing", missing)
    with pytest.raises(ConfigError, match="mean needs torchaudio, which is not installed"):
        arbench.compare(a, b, measurement="mean")


def test_a_stream_is_compared_over_blocks_and_through_the_same_windows(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join("ab"[n > 0] for n in noise(5, 60_000)))

    class Coins:
        def __init__(self, context: int) -> None:
            self.context = context

        def log_prob(self, x: torch.Tensor, scored: torch.Tensor | None) -> torch.Tensor:
            counted = torch.ones_like(x) if scored is None else scored
            return counted.sum(1) * math.log(0.5)

        def sample(self, n: int) -> torch.Tensor:
            return torch.randint(2, (n, self.context))

    def run(name: str, context: int) -> Path:
        density = arbench.ForeignDensity(
            Coins(context), spec=EventSpec((context,), Discrete(2)), kind="exact"
        )
        return arbench.evaluate_density(
            density, f"text:{text}", name=name, stride=8, out=tmp_path / name
        ).path

    a, b, other = run("a", 16), run("b", 16), run("other", 24)
    count = Record.read(a / "record.json").splits["test"].num_events
    dims = torch.full((count,), 8.0, dtype=torch.float64)
    # Slow waves: neighbouring windows are hard together, and pairs of them are not independent.
    wave = (torch.arange(count).double() / 20).sin()
    for folder, nats in ((a, 5 + wave), (b, 5 + 0 * wave)):
        add_result(folder, Ratio(), {"nats": nats, "dims": dims})
    fewer = Record.read(other / "record.json").splits["test"].num_events
    add_result(other, Ratio(), {"nats": dims[:fewer], "dims": dims[:fewer]})
    found = arbench.compare(a, b, measurement="ratio")
    assert found.blocks is not None
    assert found.num_groups < count / 4
    naive = (wave / 8).std().item() / math.sqrt(count)
    assert found.standard_error > 1.5 * naive
    with pytest.raises(DataError, match="scored the data through other windows"):
        arbench.compare(a, other, measurement="ratio")
