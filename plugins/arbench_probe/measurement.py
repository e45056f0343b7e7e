"""The measurement probe: how well a linear classifier tells classes by a density's features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from arbench import (
    Context,
    Density,
    Features,
    Handed,
    Measured,
    Measurement,
    Row,
    Untrained,
    error_of_resampled,
    group_weights,
)
from arbench_probe.pictures import draw_probe
from arbench_probe.question import Question, draws, raw

_NUM_RESAMPLES = 1000
_TRAINED, _UNTRAINED = "features", "features of the untrained network"
# The same events in another form, row by row, whose raw values are a baseline too.
_GREY = {"mnist": "mnist-gray"}


class Probe(Measurement):
    """Percent of the test events that logistic regression on a density's features tells right.

    Args:
        num_events: train events that a probe learns from; all, if there are fewer.
        num_draws: how many probes there are, each with train events of its own; fewer, if there
            are not enough events for them.
    """

    name = "probe"
    version = "1"
    unit = "% right"
    better = "higher"
    reads = ("train", "validation", "test", "labels:train", "labels:validation", "labels:test")
    needs = ("features", "reinitialise")
    tiny_settings: ClassVar = {"num_events": 30, "num_draws": 1}

    def __init__(self, *, num_events: int = 10_000, num_draws: int = 3) -> None:
        if num_events < 2:
            raise ValueError(f"num_events is {num_events}, expected 2 or more")
        if num_draws < 1:
            raise ValueError(f"num_draws is {num_draws}, expected 1 or more")
        self.num_events, self.num_draws = num_events, num_draws

    def refuses(self, density: Density, dataset: Handed) -> str | None:
        """See `Measurement.refuses`."""
        classes = dataset.labels("train").values
        for rows in draws(len(classes), self.num_events, self.num_draws):
            if int(classes[rows].min()) == int(classes[rows].max()):
                return f"the {len(rows):,} train events of a probe are all of one kind"
        return None

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        """See `Measurement.measure`."""
        assert isinstance(density, Features)
        assert isinstance(density, Untrained)
        seed = int(torch.randint(1 << 31, (), generator=context.generator("untrained")))
        untrained = density.reinitialise(seed)
        assert isinstance(untrained, Features)
        question = Question.of(dataset, self.num_events, self.num_draws)
        answers = {
            _TRAINED: _asked(question, density.features, _TRAINED, context),
            _UNTRAINED: _asked(question, untrained.features, _UNTRAINED, context),
            **self._raw_answers(question, dataset, context),
        }
        truth, names = question.classes[2], dataset.labels("test").names
        rights = {case: (each["classes"] == truth).double() for case, each in answers.items()}
        right = {case: each.mean(0) for case, each in rights.items()}
        groups = dataset.split("test").groups
        known = {case: self._row(case, each, groups) for case, each in right.items()}
        others = [case for case in right if case != _TRAINED]
        gains = [
            self._row(f"gain over {case}", right[_TRAINED] - right[case], groups, "points")
            for case in others
        ]
        each_draw = {case: (100 * each.mean(1)).tolist() for case, each in rights.items()}
        told = answers[_TRAINED]["classes"]
        confusion = _confusion(told, truth, len(names))
        return self.measured(
            {"right": right[_TRAINED]},
            rows=[known[_UNTRAINED], *gains],
            baselines=[known[case] for case in others if case != _UNTRAINED],
            details={
                "num_events": question.rows.shape[1],
                "num_validation": len(question.validation),
                "num_features": density.features(question.test[:1]).shape[1],
                "untrained_seed": seed,
                "draws": each_draw,
                "strengths": {case: each["strengths"].tolist() for case, each in answers.items()},
                "classes": [*names],
                "confusion": confusion.tolist(),
            },
            pictures=draw_probe(
                context.folder / "probe", [*known.values()], each_draw, confusion, names
            ),
        )

    def value_of(self, values: Mapping[str, Tensor], weights: Tensor) -> float:
        """Percent; see `Measurement.value_of`."""
        return 100 * super().value_of(values, weights)

    def _row(self, case: str, right: Tensor, groups: Tensor | None, unit: str = "") -> Row:
        """The mean of `(K,)` in percent, with its error over groups."""
        members = torch.arange(len(right)) if groups is None else groups
        members = torch.unique(members, return_inverse=True)[1]
        num_groups = int(members.max()) + 1
        weights = group_weights(num_groups, _NUM_RESAMPLES)
        found = [self.value_of({"right": right}, each[members]) for each in weights]
        error = error_of_resampled(torch.tensor(found, dtype=torch.float64), num_groups)
        value = self.value_of({"right": right}, torch.ones_like(right))
        return Row(case, value, unit or self.unit, self.better, error)

    def _raw_answers(
        self, question: Question, dataset: Handed, context: Context
    ) -> dict[str, dict[str, Tensor]]:
        """Of probes on the values themselves, made once per dataset."""
        forms = {f"raw {dataset.unit}s": question}
        if grey := _GREY.get(dataset.name):
            forms[f"raw {dataset.unit}s of {grey}"] = question.in_form(context.open(grey).split)
        size = "{} x {} train events".format(*question.rows.shape)
        return {
            case: context.artifact(f"{case}, {size}", partial(_built, form, case, context))
            for case, form in forms.items()
        }


def _asked(
    question: Question, described: Callable[[Tensor], Tensor], case: str, context: Context
) -> dict[str, Tensor]:
    with context.reporter.bar(f"probing {case}") as advance:
        return question.answers(described, advance)


def _built(
    question: Question, case: str, context: Context, generator: torch.Generator
) -> dict[str, Tensor]:
    return _asked(question, raw, case, context)


def _confusion(told: Tensor, truth: Tensor, num_classes: int) -> Tensor:
    """How often an event of the class of a row was told to be of that of a column, `(C, C)`."""
    pairs = truth * num_classes + told  # (D, K)
    return pairs.flatten().bincount(minlength=num_classes**2).view(num_classes, num_classes)
