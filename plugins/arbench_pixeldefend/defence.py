"""`Defence`: one classifier, its attacked images, and what a density makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from arbench import Context, Density, DimByDim, Discrete, Handed, Row, purify
from arbench_pixeldefend import classifier, detection, pictures
from arbench_pixeldefend.attacks import (
    BPDA_SHARE,
    CARLINI_WAGNER,
    CLEAN,
    DEEPFOOL,
    Attack,
    Attacker,
    attacks_of,
    levels_of,
    random_signs,
    scaled,
)
from arbench_pixeldefend.floors import median_filtered, thresholded

_BATCH = 250
_NUM_TRAIN = 10_000  # train images among which p-values are ranks


@dataclass(frozen=True)
class Plan:
    """The settings of the measurement; see there.

    Attributes:
        num_events: test images that are attacked.
        strengths: of the attacks, from small to large.
        num_epochs: of the classifier.
        bpda_steps: of the attack that knows of the defence.
    """

    num_events: int
    strengths: list[float]
    num_epochs: int
    bpda_steps: int


class Defence:
    """One classifier, its attacked images, and what a density makes of them.

    Args:
        plan: the settings.
        density: purifies.
        dataset: of labelled images.
        context: keeps the classifier and the attacked images, which depend on no density.

    Attributes:
        clean: `(N, C, H, W)` int64, evenly spaced test images.
        attacked: by attack, levels of the same shape.
        purified: by attack and radius, those that pictures show.
        values: by name `(N,)`, whether each image is classified rightly, and p-values.
        rows: of the density, that of the strongest BIM first.
        baselines: of the data alone.
    """

    def __init__(self, plan: Plan, density: Density, dataset: Handed, context: Context) -> None:
        assert isinstance(dataset.spec.domain, Discrete)
        assert isinstance(density, DimByDim)
        self.plan, self.density, self.walker = plan, density, density
        self.dataset, self.context = dataset, context
        self.num_levels = dataset.spec.domain.size
        test, labels = dataset.split("test"), dataset.labels("test")
        self.rows_of_test = test.spread(plan.num_events)
        part = test.take(self.rows_of_test)
        self.clean, self.groups = part.events.long(), part.groups
        self.labels, self.num_classes = labels.values[self.rows_of_test], len(labels.names)
        self.index = "test" if len(part) == len(test) else f"{len(part)} of test"
        self.classifier = self._classifier()
        self.attacked = self._attacked()
        self.purified: dict[tuple[Attack, float], Tensor] = {}
        self.values: dict[str, Tensor] = {}
        self.rows: list[Row] = []
        self.baselines: list[Row] = []

    def radius(self, eps: float) -> int:
        """The levels by which purification may move a pixel."""
        return levels_of(eps, self.num_levels)

    def score_purified(self) -> None:
        """Accuracy after purification, and after a single forward in place of Algorithm 1.

        Attacks with an eps are purified with that one, all others with each.
        """
        strengths = self.plan.strengths
        bounded = [
            (Attack(kind, eps), eps)
            for kind in ("bim", "fgsm", "noise")
            for eps in reversed(strengths)
        ]
        free = [(each, eps) for each in (CLEAN, DEEPFOOL, CARLINI_WAGNER) for eps in strengths]
        once = [(attack, eps) for attack, eps in bounded if attack.kind != "noise"]
        jobs = [(*job, True) for job in (*bounded, *free)] + [(*job, False) for job in once]
        with self.context.reporter.bar("purifying") as advance:
            counted = counter(advance, len(jobs) * self.clean.numel())
            for attack, eps, greedy in jobs:
                images = self.clean if attack == CLEAN else self.attacked[attack]
                pure = purify(
                    self.walker, images, self.radius(eps), greedy=greedy, progress=counted
                )
                how, key = ("purified" if greedy else "one-shot"), attack.key
                text = f"{how}, {attack.title}"
                if attack.eps is None:
                    key, text = f"{key}_{round(100 * eps)}", f"{text}, by {eps:g}"
                self._score(f"{how.replace('-', '_')}_{key}", text, pure, self.rows)
                if greedy:
                    self.purified[attack, eps] = pure

    def score_without_density(self) -> None:
        """What needs no density: nothing at all, a median filter, a threshold."""
        for attack, images in {CLEAN: self.clean, **self.attacked}.items():
            for how, seen in (
                ("undefended", images),
                ("median filter", median_filtered(images)),
                ("threshold", thresholded(images, self.num_levels)),
            ):
                name = f"{how.replace(' ', '_')}_{attack.key}"
                self._score(name, f"{how}, {attack.title}", seen, self.baselines)

    def score_attack_that_knows(self) -> None:
        """BIM on classifier and defence together, purification's gradient taken for that of x."""
        strengths, steps = self.plan.strengths, self.plan.bpda_steps
        if not steps:
            return
        from arbench.art import PixelDefend

        with self.context.reporter.bar("attacking the defence") as advance:
            for number, eps in enumerate(strengths, start=1):
                attacker = self._attacker(PixelDefend(self.density, self.radius(eps)))
                found = attacker.bim(self.clean, eps, steps=steps, share=BPDA_SHARE)
                pure = purify(self.walker, found, self.radius(eps))
                attack = Attack("bpda", eps)
                self._score(f"purified_{attack.key}", f"purified, {attack.title}", pure, self.rows)
                advance(number / len(strengths), "")

    def detect(self) -> None:
        """How well log p tells attacked images from clean ones; and the share of pixels above 0."""
        train = self.dataset.split("train")
        known = self._log_probs(train.take(train.spread(_NUM_TRAIN)).events)
        clean = self.context.log_probs("test")[self.rows_of_test]
        self.values["p_clean"] = detection.rank_p_values(clean, known)
        with self.context.reporter.bar("detecting") as advance:
            for number, (attack, images) in enumerate(self.attacked.items(), start=1):
                log_probs = self._log_probs(images)
                self.values[f"p_{attack.key}"] = detection.rank_p_values(log_probs, known)
                found = detection.auroc(-log_probs, -clean)
                self.rows.append(auroc_row(f"detected, {attack.title}", found))
                found = detection.auroc(share_above_0(images), share_above_0(self.clean))
                case = f"detected by the share of pixels above 0, {attack.title}"
                self.baselines.append(auroc_row(case, found))
                advance(number / len(self.attacked), "")

    def draw(self) -> list[Path]:
        """The pictures."""
        strengths, folder = self.plan.strengths, self.context.folder
        shown = [("clean", self.clean)]
        for eps in sorted({strengths[0], strengths[-1]}):
            attack = Attack("bim", eps)
            shown.append((attack.title, self.attacked[attack]))
            shown.append(("purified", self.purified[attack, eps]))
        return [
            *pictures.accuracy(folder / "accuracy", strengths, self.values),
            *pictures.images(folder / "images", shown, self.num_levels),
            *pictures.p_values(folder / "p-values", strengths[0], self.values),
        ]

    def _classifier(self) -> classifier.Classifier:
        """Made once per dataset."""
        shape, epochs = self.dataset.spec.shape, self.plan.num_epochs

        def build(generator: torch.Generator) -> Mapping[str, Tensor]:
            images = scaled(self.dataset.split("train").events, self.num_levels)
            labels = self.dataset.labels("train").values
            with self.context.reporter.bar("training the classifier") as advance:
                counted = counter(advance, epochs * len(images))
                return classifier.trained(
                    images, labels, self.num_classes, epochs, generator, counted
                )

        weights = self.context.artifact(f"classifier of {epochs} epochs", build)
        return classifier.loaded(weights, shape, self.num_classes)

    def _attacked(self) -> dict[Attack, Tensor]:
        """Made once per dataset and classifier."""
        attacks = attacks_of(self.plan.strengths)

        def build(generator: torch.Generator) -> Mapping[str, Tensor]:
            attacker, found = self._attacker(), dict[str, Tensor]()
            with self.context.reporter.bar("attacking") as advance:
                for number, attack in enumerate(attacks, start=1):
                    if attack.kind == "noise":
                        assert attack.eps is not None
                        made = random_signs(self.clean, attack.eps, self.num_levels, generator)
                    else:
                        made = attacker.run(attack, self.clean)
                    found[attack.key] = made
                    advance(number / len(attacks), attack.title)
            return found

        keys = ", ".join(attack.key for attack in attacks)
        about = f"{len(self.clean)} of test, classifier of {self.plan.num_epochs} epochs"
        made = self.context.artifact(f"{keys}: {about}", build)
        return {attack: made[attack.key] for attack in attacks}

    def _attacker(self, defence: object = None) -> Attacker:
        shape = self.dataset.spec.shape
        return Attacker(
            self.classifier, self.labels, shape, self.num_classes, self.num_levels, defence
        )

    @torch.no_grad()
    def _log_probs(self, images: Tensor) -> Tensor:
        found = [
            self.density.log_prob(batch.long().to(self.context.device)).double().cpu()
            for batch in torch.split(images, _BATCH)
        ]
        return torch.cat(found)

    @torch.no_grad()
    def _score(self, name: str, case: str, images: Tensor, rows: list[Row]) -> None:
        """Which images are classified rightly, as values and as a row."""
        logits = [
            self.classifier(scaled(each, self.num_levels)) for each in torch.split(images, _BATCH)
        ]
        right = (torch.cat(logits).argmax(1) == self.labels).double()
        self.values[name] = right
        error = float(right.std()) / math.sqrt(len(right)) if len(right) > 1 else None
        rows.append(Row(case, right.mean().item(), "accuracy", "higher", error))


def auroc_row(case: str, found: tuple[float, float]) -> Row:
    """A row of an AUROC and its error."""
    return Row(case, found[0], "AUROC", "higher", found[1])


def share_above_0(images: Tensor) -> Tensor:
    """The share of pixels `(N,)` that are not of the lowest level."""
    return (images > 0).double().flatten(1).mean(1)


def counter(advance: Callable[[float, str], object], total: int) -> Callable[[int], None]:
    """Tells a bar how much is done, from how much more is."""
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        advance(done / total, "")

    return more
