"""Fitting: what a network that needs no gradient is handed, and what is said meanwhile."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import arbench
from arbench.errors import ConfigError
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.show.reporting import Advance, Reporter


class Bars(Reporter):
    """Keeps the fractions that each bar was told."""

    def __init__(self) -> None:
        self.told: dict[str, list[float]] = {}

    @contextlib.contextmanager
    def bar(self, title: str, *, live: bool = True) -> Iterator[Advance]:
        fractions = self.told.setdefault(title, [])
        yield lambda fraction, note: fractions.append(fraction)


def test_progress_is_the_share_of_all_batches_of_all_epochs(tmp_path: Path) -> None:
    bars = Bars()
    options = {"settings": {"batch_size": 10}, "limit": 40, "device": "cpu", "out": tmp_path / "a"}
    run = arbench.run("toy-markov", "cpt", epochs=2, reporter=bars, **options)
    assert bars.told["fitting"] == [step / 8 for step in range(1, 9)]
    assert run.record.training is not None
    assert (run.record.training.steps, run.record.training.epochs) == (8, 2.0)


def test_orders_that_fit_themselves_each_learn_in_their_own(tmp_path: Path) -> None:
    """One bar for them all, by the share that each says is done."""
    bars, found = Bars(), []
    for orders in (1, 3):
        settings = {"num_orderings": orders, "shared_weights": False, "max_trees": 2, "depth": 2}
        run = arbench.run(
            "toy-markov",
            "boosted-trees",
            settings=settings,
            limit=200,
            device="cpu",
            out=tmp_path / str(orders),
            reporter=bars,
        )
        found.append(run)
    sites = found[0].record.task.num_dims
    one, three = bars.told["fitting"][:sites], bars.told["fitting"][sites:]
    assert one == [site / sites for site in range(1, sites + 1)]
    assert three == pytest.approx([site / (3 * sites) for site in range(1, 3 * sites + 1)])
    single, many = (arbench.load(run.path) for run in found)
    events = torch.randint(2, (50, *single.spec.shape))
    members = torch.stack([member.log_prob(events) for member in many.members])
    assert torch.equal(members[0], single.log_prob(events))
    assert not torch.allclose(members[1], members[2])
    torch.testing.assert_close(many.log_prob(events), members.logsumexp(0) - math.log(3))


def test_a_fit_leaves_the_line_of_metrics_that_a_training_leaves(tmp_path: Path) -> None:
    """But for the loss of training, which it has not; one line, also of a fit that comes again."""
    options = {"limit": 40, "device": "cpu", "epochs": 2}
    for name, model in (("fit", "cpt"), ("descent", "nade")):
        arbench.run("toy-markov", model, out=tmp_path / name, **options)
    fitted, *more = _lines(tmp_path / "fit")
    *_, descended = _lines(tmp_path / "descent")
    assert more == []
    assert [*fitted] == [key for key in descended if key != "train_nats_per_event"]
    run = arbench.resume(tmp_path / "fit")
    assert run.record.training is not None
    assert (fitted["step"], fitted["epoch"]) == (run.record.training.steps, 2)
    assert run.record.training.best_step == fitted["step"]
    nll = run.record.splits["validation"]
    assert fitted["validation_nats_per_event"] == pytest.approx(nll.nats_per_event, rel=1e-12)
    (tmp_path / "fit" / "record.json").unlink()  # as if killed before its end
    arbench.resume(tmp_path / "fit", device="cpu")
    again, *more = _lines(tmp_path / "fit")
    assert more == []
    assert {**again, "seconds": 0} == {**fitted, "seconds": 0}


def _lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").open()]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": "5s"}, "cpt fits itself: give --epochs, not --budget"),
        ({"settings": {"num_copies": 2}}, "cpt fits itself, so all copies would be alike"),
        (
            {"settings": {"num_masks": 2}},
            "cpt fits itself and cannot share weights between members",
        ),
    ],
)
def test_counts_need_no_time_and_share_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str
) -> None:
    """All of which is known before there is a folder, whatever else the network offers."""
    network_class = registry().find(ModelEntry, "cpt").load()
    monkeypatch.setattr(network_class, "reordered", lambda *_: None, raising=False)
    with pytest.raises(ConfigError, match=words):
        arbench.run("toy-markov", "cpt", device="cpu", out=tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()
