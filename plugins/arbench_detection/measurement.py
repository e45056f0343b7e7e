"""The measurement detection: how well a density tells other events from its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from scipy.stats import ks_2samp
from torch import Tensor

from arbench import (
    ConfigError,
    Context,
    Density,
    Discrete,
    Handed,
    Measured,
    Measurement,
    Real,
    Split,
    random_order,
)
from arbench_detection import background, others, pictures
from arbench_detection.evaluation import Progress, log_probs
from arbench_detection.ranking import Ranking
from arbench_detection.scores import SCORES, Reference, outlier_score, values_of
from arbench_detection.table import QualityTable

_SHOWN = ("log_prob", "typicality")  # of which there is a row for each kind of outlier
_FEWEST = 4  # test events, so that two halves of them can be compared
_HALVES = 31_701  # key of the draw that halves the events of home


class Detection(Measurement):
    """AUROC of telling outliers from test events by typicality, averaged over kinds of outliers.

    Below it stand the other scores. A larger score always means an outlier.

    Args:
        against: kinds of outliers, with commas between: "generated" is all that can be made of the
            data; or some of them by name; "jpeg"; other tasks of the same spec; "files:NAME", a
            file or folder of your own where you are.
        num_events: at most so many test events, evenly spaced, and so many outliers of each kind.
        num_train: at most so many train events give ranks, and as many of validation say what is
            typical.
        background: for the likelihood ratio: "cpt", which is fitted to the train events; or a run.
    """

    name = "detection"
    version = "1"
    unit = "AUROC"
    better = "higher"
    reads = ("train", "validation", "test")
    needs = ("log_prob",)
    tiny_settings: ClassVar = {"num_events": 40, "num_train": 60}

    def __init__(
        self,
        *,
        against: str = others.ALL,
        num_events: int = 1000,
        num_train: int = 2000,
        background: str = "cpt",
    ) -> None:
        self._names = others.names_in(against)
        for name, number in (("num_events", num_events), ("num_train", num_train)):
            if number < 2:
                raise ValueError(f"{name} is {number}, expected 2 or more")
        if Path(background).is_absolute() or {"~", ".."} & set(Path(background).parts):
            raise ValueError(
                f"background is {background!r}, a path from elsewhere, and settings stand in the "
                "record, which holds none: go to the folder that it is in and write its name"
            )
        self.num_events, self.num_train, self.background = num_events, num_train, background

    def refuses(self, density: Density, dataset: Handed) -> str | None:
        """See `Measurement.refuses`."""
        reasons = (others.why_not(name, dataset) for name in self._names if name != others.ALL)
        if (reason := next(filter(None, reasons), None)) is not None:
            return reason
        test = dataset.split("test")
        if (count := len(others.comparable(test, dataset))) < _FEWEST:
            return (
                f"of {dataset.name} {count} test events can be compared, and {_FEWEST} are needed"
            )
        return None

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        """See `Measurement.measure`."""
        train = dataset.training_events()
        test = dataset.split("test")
        home = others.evenly(test, others.comparable(test, dataset), self.num_events)
        ranks = others.typical_events(train, home, dataset, self.num_train)
        unseen = dataset.split("validation")
        unseen = others.evenly(unseen, others.comparable(unseen, dataset), self.num_train)
        names = others.expanded(self._names, dataset)
        maker = others.Others(dataset, context, home, train, self.num_events)
        splits = [home, *(maker.make(name) for name in names)]
        judge = self._judge(density, dataset, context, train)
        total = sum(map(len, (ranks, unseen, *splits)))
        with context.reporter.bar("scoring events") as advance:
            progress = Progress(advance, total)
            typical = Reference.of(
                log_probs(density, ranks, progress, "train"),
                log_probs(density, unseen, progress, "validation"),
            )
            found = [
                judge.values(split, typical, progress, name)
                for split, name in zip(splits, ["home", *names], strict=True)
            ]
        values = {score: torch.cat([each[score] for each in found]) for score in found[0]}
        sizes = torch.tensor([len(split) for split in splits])
        other = torch.arange(len(splits)).repeat_interleave(sizes)
        groups = _groups(splits)
        with context.reporter.bar("bootstrap") as advance:
            table = QualityTable.of(values, other, names, groups, advance)
        return self.measured(
            {**values, "other": other.double()},
            case="typicality, mean",
            index="test events and outliers",
            groups=groups,
            rows=self._rows(table, names),
            details={
                "num_events": dict(zip(["home", *names], sizes.tolist(), strict=True)),
                "num_train": len(ranks),
                "num_validation": len(unseen),
                "entropy_nats": typical.entropy,
                "train_nats": -typical.log_probs.mean().item(),
                "num_impossible": sum(int((each["log_prob"] < -1e299).sum()) for each in found),
                "background": judge.background_name,
                "compressor": background.COMPRESSOR if judge.compresses else None,
                **_agreement(found[0]["log_prob"], typical),
                "table": table.to_json(),
            },
            pictures=_drawn(context.folder, found, names, typical, table),
        )

    def value_of(self, values: Mapping[str, Tensor], weights: Tensor) -> float:
        """AUROC by typicality, averaged over kinds of outliers; see `Measurement.value_of`.

        A kind whose events all have weight 0 does not count.
        """
        scores, other = outlier_score("typicality", values["typicality"]), values["other"]
        kept = weights > 0
        home = kept & (other == 0)
        found = []
        for number in torch.unique(other[kept & (other > 0)]):
            rows = kept & (other == number)
            ranking = Ranking(scores[home], scores[rows])
            found.append(ranking.quality(weights[None, home], weights[None, rows]).auroc.item())
        return sum(found) / len(found)

    def _rows(self, table: QualityTable, names: list[str]) -> list[Any]:
        rows = [
            self.row(f"{SCORES[score][0]}, mean", cell.value, cell.error)
            for score, cell in table.means.items()
            if score != "typicality"
        ]
        for name in names:
            for score in _SHOWN:
                cell = table.cells[name, score, "auroc"]
                rows.append(self.row(f"{SCORES[score][0]}, {name}", cell.value, cell.error))
        return rows

    def _judge(self, density: Density, dataset: Handed, context: Context, train: Split) -> _Judge:
        """Who gives events their scores."""
        if not isinstance(dataset.spec.domain, Discrete):
            kind = "real numbers" if isinstance(dataset.spec.domain, Real) else "of several kinds"
            return _Judge(density, None, f"none: dims are {kind}", False)
        if self.background != "cpt":
            other = context.load(self.background)
            if other.spec != dataset.spec:
                raise ConfigError(
                    f"the background {self.background} is of events {other.spec}, and "
                    f"{dataset.name} has {dataset.spec}"
                )
            return _Judge(density, other, "another run", True)
        with context.reporter.bar("fitting the background") as advance:
            tensors = context.artifact(
                "background cpt", lambda _: background.fitted(dataset.spec, train, advance)
            )
        model = background.tables(dataset.spec)
        model.network.load_state_dict(tensors)
        number = model.network.num_neighbours
        return _Judge(density, model, f"cpt with neighbours={number}, fitted to train", True)


@dataclass(frozen=True)
class _Judge:
    """Gives events their scores."""

    density: Density
    background: Density | None
    background_name: str
    compresses: bool

    def values(
        self, split: Split, typical: Reference, progress: Progress, name: str
    ) -> dict[str, Tensor]:
        found = log_probs(self.density, split, progress, name)
        silent = Progress(lambda fraction, note: None, len(split))
        other = self.background
        ground = None if other is None else log_probs(other, split, silent, name)
        code = background.code_nats(split, self.density.spec) if self.compresses else None
        return values_of(found, typical, code, ground)


def _groups(splits: list[Split]) -> Tensor:
    """Which of all events are not independent: outliers made of events of home, and their own."""
    home = splits[0].groups
    assert home is not None
    parts, next_group = [home], int(home.max()) + 1
    for split in splits[1:]:
        groups = split.groups
        if groups is None:
            groups = torch.arange(len(split))
        if groups is not home:
            groups = groups + next_group
            next_group = int(groups.max()) + 1
        parts.append(groups)
    return torch.cat(parts)


def _agreement(home: Tensor, typical: Reference) -> dict[str, Any]:
    """Kolmogorov and Smirnov's distances: of two halves of home, and of home from train."""
    order = torch.from_numpy(random_order(len(home), _HALVES))
    halves = [home[order[: len(home) // 2]], home[order[len(home) // 2 :]]]
    pairs = {"halves": (halves[0], halves[1]), "train": (home, typical.log_probs)}
    found = {name: ks_2samp(one.numpy(), other.numpy()) for name, (one, other) in pairs.items()}
    return {
        f"ks_{name}": {"distance": float(test.statistic), "p_value": float(test.pvalue)}
        for name, test in found.items()
    }


def _drawn(
    folder: Path,
    found: list[dict[str, Tensor]],
    names: list[str],
    typical: Reference,
    table: QualityTable,
) -> list[Path]:
    """The pictures."""
    kinds = ["test", *names]
    log_probs = {name: each["log_prob"] for name, each in zip(kinds, found, strict=True)}
    p_values = {name: each["p_value"] for name, each in zip(kinds, found, strict=True)}
    return [
        *pictures.likelihoods(folder / "likelihoods", log_probs, typical),
        *pictures.p_values(folder / "p-values", p_values),
        *pictures.heat_table(folder / "detection", table, names),
    ]
