"""The checks that end a run: they change nothing, end in time, and say what they looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

import arbench
from arbench.cli import main
from arbench.data.dataset import Dataset
from arbench.data.tasks import Split, SplitName, Task, open_task
from arbench.errors import PluginError
from arbench.hub.card import card_of
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.foreign import ForeignDensity
from arbench.probability.promises import Surprise
from arbench.runs import trained_checks
from arbench.runs.config import RunConfig
from arbench.runs.experiment import Run
from arbench.runs.foreign import evaluate_foreign
from arbench.runs.loading import load_run
from arbench.runs.record.record import CheckRecord, ChecksRecord, Record
from arbench.runs.trained_checks import Refused, check_trained
from arbench.show.reporting import Reporter


def _run(folder: Path, task: str, model: str, **settings: Any) -> Run:
    options: dict[str, Any] = {"epochs": 1, "limit": 100, "device": "cpu", "out": folder}
    return arbench.run(task, model, settings=settings, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that the tests of this file only read."""
    return _run(tmp_path_factory.mktemp("runs") / "a", "toy-ising", "nade", hidden=8)


def _again(run: Run) -> ChecksRecord:
    """The checks of a run, made from its folder."""
    config = RunConfig.read(run.path / "config.json")
    events = Dataset(open_task(config.task), limit=config.limit).split("validation").events
    return check_trained(load_run(run.path), config, events, Reporter())


def test_they_are_those_of_the_trained_weights(finished: Run) -> None:
    """From the folder, with its samples drawn again, come the same numbers."""
    assert _again(finished) == finished.record.checks


def test_they_say_what_they_looked_at(finished: Run) -> None:
    checks = finished.record.checks
    assert checks is not None
    found = {name: check.about for name, check in checks if check is not None}
    assert found == {
        "causality": "18 of 64 sites, 1 event",
        "step_equals_forward": "64 of 64 sites, 1 event",
        "samples_follow": "64 samples, 4,096 sites",
    }


def test_they_move_no_generator_no_weight_and_no_mode(finished: Run) -> None:
    assembly = load_run(finished.path)
    assembly.network.train()
    config = RunConfig.read(finished.path / "config.json")
    events = Dataset(open_task(config.task), limit=20).split("validation").events
    weights = {name: value.clone() for name, value in assembly.network.state_dict().items()}
    torch.manual_seed(12)
    state = torch.get_rng_state()
    check_trained(assembly, config, events, Reporter())
    assert torch.equal(torch.get_rng_state(), state)
    assert assembly.network.training
    for name, value in assembly.network.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, weights[name])


def test_they_end_in_time_with_one_look_at_each_promise(
    finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def later() -> float:
        nonlocal now
        now += 100.0
        return now

    monkeypatch.setattr(trained_checks.time, "monotonic", later)
    monkeypatch.setattr(trained_checks, "_AT_ONCE", 640)
    checks = _again(finished)
    assert [check.about for _, check in checks if check is not None] == [
        "1 of 64 sites, 1 event",
        "1 of 64 sites, 1 event",
        "10 samples, 640 sites",
    ]


@pytest.mark.parametrize(
    ("task", "model", "settings"),
    [
        ("toy-ising", "made", {"alternative": "dropout", "num_orderings": 2, "num_masks": 2}),
        (
            "toy-ising",
            "fvsbn",
            {"alternative": "free", "num_copies": 2, "layout.order": "permuted"},
        ),
        ("toy-ar1", "rnade", {}),
    ],
)
def test_ensembles_copies_orders_and_reals_have_theirs(
    task: str, model: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    checks = _run(tmp_path / "a", task, model, **settings).record.checks
    assert checks is not None
    assert checks.causality is not None
    assert checks.samples_follow is not None
    assert checks.samples_follow.value < 4


def _sampled(run: Run, surprises: list[Surprise], monkeypatch: pytest.MonkeyPatch) -> ChecksRecord:
    """The checks of a run whose batches of samples are this surprising, one after another."""
    left = iter(surprises)
    monkeypatch.setattr(trained_checks, "site_surprise", lambda *a, **options: next(left))
    monkeypatch.setattr(trained_checks, "_AT_ONCE", 1 << 20)
    return _again(run)


def test_a_false_alarm_is_not_believed_and_a_true_one_is(
    finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times as many fresh samples decide."""
    alarm, calm = Surprise(-60.0, 100.0, 64), Surprise(5.0, 100.0, 64)
    checks = _sampled(finished, [alarm, *[calm] * 4], monkeypatch)
    assert checks.samples_follow is not None
    assert checks.samples_follow.value == pytest.approx(1.0)
    assert checks.samples_follow.about == "256 samples, 256 sites"
    with pytest.raises(Refused, match=r"6\.0 standard errors, and 12\.0 of 256 fresh ones"):
        _sampled(finished, [alarm] * 5, monkeypatch)


def test_a_nan_is_no_pass(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Surprise(float("nan"), 1.0, 64)
    with pytest.raises(Refused) as caught:
        _sampled(finished, [nothing] * 5, monkeypatch)
    check = caught.value.checks.samples_follow
    assert check is not None
    assert check.value > check.threshold


def test_card_and_show_have_them(finished: Run, capsys: pytest.CaptureFixture[str]) -> None:
    card = card_of(finished.path)
    assert main(["show", str(finished.path)]) == 0
    shown = capsys.readouterr().out
    for text in (card, shown):
        assert "a site sees earlier ones only" in text
        assert "step equals forward" in text
        assert "64 samples, 4,096 sites" in text
        assert "FAILED" not in text


def test_no_record_has_both_a_failed_check_and_a_likelihood(finished: Run) -> None:
    failed = ChecksRecord(causality=CheckRecord(value=0.1, threshold=0.0))
    values = finished.record.model_dump() | {"checks": failed.model_dump()}
    with pytest.raises(ValidationError, match=r"fails a check \(causality\) has no likelihood"):
        Record.model_validate(values)


SPEC = EventSpec((50,), Discrete(5))
LOGITS = torch.randn(50, 5, generator=torch.Generator().manual_seed(0)).double().log_softmax(-1)


class Foreign:
    """Independent dims; samples may all be one too high."""

    def __init__(self, shift: int) -> None:
        self.shift = shift

    def log_prob(self, events: Tensor) -> Tensor:
        """`(B,)` nats."""
        return LOGITS.gather(1, events.T).sum(0)

    def sample(self, number: int) -> Tensor:
        """`(number, 50)`."""
        return (torch.multinomial(LOGITS.exp(), number, replacement=True).T + self.shift) % 5


class Drawn(Task):
    """What the right one draws."""

    name, version, spec = "drawn", "1", SPEC

    def load(self, split: SplitName) -> Split:
        """The events `(100, 50)` of a split."""
        torch.manual_seed(len(split))
        return Split(Foreign(0).sample(100))


@pytest.mark.parametrize("kind", ["exact", "bound"])
def test_samples_of_a_foreign_density_have_to_follow_it_but_for_a_bound(
    kind: Any, tmp_path: Path
) -> None:
    def evaluate(shift: int) -> ChecksRecord | None:
        density = ForeignDensity(Foreign(shift), spec=SPEC, kind=kind)
        folder = tmp_path / str(shift)
        return evaluate_foreign(density, Dataset(Drawn()), name="f", out=folder).record.checks

    checks = evaluate(0)
    assert checks is not None
    assert (checks.causality, checks.step_equals_forward) == (None, None)
    assert (checks.samples_follow is None) == (kind == "bound")
    if kind == "bound":
        evaluate(1)
        return
    with pytest.raises(PluginError, match="its samples do not follow its log_prob"):
        evaluate(1)
    assert not (tmp_path / "1" / "record.json").exists()


class Ending(Drawn):
    """Events of which the last ten dims stand after their end."""

    def load(self, split: SplitName) -> Split:
        """The events `(100, 50)` of a split."""
        events = super().load(split).events
        events[:, 40:] = 0
        return Split(events, (torch.arange(50) < 40).expand_as(events))


class EndingForeign(Foreign):
    """Draws zeros after the end, which its `log_prob` does not look at."""

    def log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """`(B,)` nats over the dims that are scored."""
        each = LOGITS.gather(1, events.T).T
        return (each if scored is None else each * scored).sum(1)

    def sample(self, number: int) -> Tensor:
        """`(number, 50)`."""
        return super().sample(number) * (torch.arange(50) < 40)


def test_what_a_foreign_density_draws_after_an_end_is_not_judged(tmp_path: Path) -> None:
    density = ForeignDensity(EndingForeign(0), spec=SPEC, kind="exact")
    run = evaluate_foreign(density, Dataset(Ending()), name="f", out=tmp_path / "run")
    assert run.record.checks == ChecksRecord()
