"""The measurement pixeldefend and its parts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

pytest.importorskip("art", reason="install the extra `attacks`")

from sklearn.metrics import roc_auc_score

import arbench
from arbench import Discrete, EventSpec, Labels, Real, Split, purify
from arbench.art import PixelDefend as Preprocessor
from arbench.data.dataset import Dataset
from arbench.measure.asking import Measuring
from arbench.testing import conformance
from arbench.testing.offers import OFFERS, Offer, TinyTask
from arbench.testing.tiny import TinyEvents
from arbench_pixeldefend.attacks import (
    BPDA_SHARE,
    CARLINI_WAGNER,
    DEEPFOOL,
    Attack,
    Attacker,
    attacks_of,
    levels_of,
    random_signs,
    rounded,
    scaled,
)
from arbench_pixeldefend.classifier import Classifier, loaded, trained
from arbench_pixeldefend.detection import auroc, rank_p_values
from arbench_pixeldefend.floors import median_filtered, thresholded
from arbench_pixeldefend.measurement import PixelDefend

test_conformance = conformance("pixeldefend")


class Bars(TinyTask):
    """Images of 6 x 6 with 16 levels: a bright bar, at the left or at the right, in noise."""

    name = "bars"

    def __init__(self) -> None:
        super().__init__(TinyEvents(EventSpec((1, 6, 6), Discrete(16))))

    def load(self, split: str) -> Split:
        return Split(self._images(split)[0])

    def load_labels(self, split: str) -> Labels:
        return Labels(self._images(split)[1], ("left", "right"))

    def _images(self, split: str) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(len(split))
        count = 400 if split == "train" else 40
        labels = torch.randint(2, (count,), generator=generator)
        images = torch.randint(3, (count, 1, 6, 6), generator=generator)
        for image, label in zip(images, labels, strict=True):
            image[0, 1:5, 1 + 2 * label : 3 + 2 * label] += 11
        return images.to(torch.uint8), labels


@pytest.fixture(scope="module")
def bars() -> tuple[Tensor, Tensor]:
    task = Bars()
    return task.load("test").events, task.load_labels("test").values


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    task = Bars()
    seen: list[int] = []
    images = scaled(task.load("train").events, 16)
    labels = task.load_labels("train").values
    generator = torch.Generator().manual_seed(0)
    weights = trained(images, labels, 2, 8, generator, seen.append)
    assert sum(seen) == 8 * 400
    return loaded(weights, (1, 6, 6), 2)


@torch.no_grad()
def right(classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    return (classifier(scaled(images, 16)).argmax(1) == labels).double()


def accuracy(classifier: Classifier, images: Tensor, labels: Tensor) -> float:
    return right(classifier, images, labels).mean().item()


def test_the_classifier_learns_and_attacks_undo_it(
    classifier: Classifier, bars: tuple[Tensor, Tensor]
) -> None:
    images, labels = bars
    assert accuracy(classifier, images, labels) == 1
    attacker = Attacker(classifier, labels, (1, 6, 6), 2, 16)
    noise = random_signs(images, 0.4, 16, torch.Generator().manual_seed(0))
    assert accuracy(classifier, noise, labels) > 0.9, "noise of that size does nothing"
    found = {
        attack: attacker.run(attack, images)
        for attack in attacks_of([0.1, 0.4])
        if attack.kind != "noise"
    }
    for attack, attacked in found.items():
        assert attacked.dtype == torch.uint8
        moved = (attacked.long() - images).abs().max().item()
        if attack.eps is not None:
            assert moved <= levels_of(attack.eps, 16)
        assert moved > 0
    for attack in (Attack("bim", 0.4), DEEPFOOL, CARLINI_WAGNER):
        assert accuracy(classifier, found[attack], labels) < 0.5, attack.title
    assert found[CARLINI_WAGNER][images == 0].any(), "black pixels move, too"
    again = Attacker(classifier, labels, (1, 6, 6), 2, 16).run(Attack("bim", 0.4), images)
    assert torch.equal(again, found[Attack("bim", 0.4)])


def test_levels_are_rounded_to_the_nearest() -> None:
    numbers = torch.tensor([-0.2, 0.0, 0.49, 0.51, 1.4, 254.51, 255.0, 300.0]) / 255
    assert rounded(numbers, 256).tolist() == [0, 0, 0, 1, 1, 255, 255, 255]
    assert [levels_of(eps, 256) for eps in (0.1, 0.2, 0.3)] == [26, 51, 77]
    images = torch.randint(256, (50, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    for eps in (0.1, 0.2, 0.3):
        moved = random_signs(images, eps, 256, torch.Generator().manual_seed(1)).long() - images
        assert int(moved.abs().max()) == levels_of(eps, 256)
        assert 0.4 < (moved > 0).float().mean() < 0.6


def test_floors_are_those_of_scipy_and_of_a_line() -> None:
    images = torch.randint(256, (4, 3, 6, 5), generator=torch.Generator().manual_seed(0))
    filtered = median_filtered(images).flatten(0, 1)
    for image, found in zip(images.flatten(0, 1), filtered, strict=True):
        expected = ndimage.median_filter(image.numpy(), size=3, mode="nearest")
        np.testing.assert_array_equal(found, expected)
    levels = torch.tensor([0, 127, 128, 255]).view(1, 1, 2, 2)
    assert thresholded(levels, 256).flatten().tolist() == [0, 0, 255, 255]
    assert thresholded(torch.arange(9).view(1, 1, 3, 3), 9).flatten().tolist() == [0] * 4 + [8] * 5


def test_a_p_value_is_a_rank_among_train_events() -> None:
    train = torch.tensor([3.0, 1.0, 2.0, 2.0], dtype=torch.float64)
    events = torch.tensor([0.5, 1.0, 2.0, 2.5, 9.0], dtype=torch.float64)
    assert (5 * rank_p_values(events, train)).tolist() == [1, 2, 4, 4, 5]


def test_auroc_is_that_of_scikit_learn_and_its_error_that_of_many_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = np.repeat([1, 0], 200)
    found, errors = [], []
    for _ in range(200):
        shared = torch.randn(200, generator=generator, dtype=torch.float64)
        clean = (shared + torch.randn(200, generator=generator)).mul(4).round()
        attacked = (shared + 0.8 + torch.randn(200, generator=generator)).mul(4).round()
        value, error = auroc(attacked, clean)
        expected = roc_auc_score(labels, torch.cat((attacked, clean)).numpy())
        assert value == pytest.approx(expected, abs=1e-12)
        found.append(value)
        errors.append(error)
    assert np.std(found) == pytest.approx(np.mean(errors), rel=0.15)


def test_rows_say_what_the_parts_make(tmp_path: Path) -> None:
    """Of one dataset: each accuracy from images purified here, with the classifier kept there."""
    offer = Offer(Bars)
    measurement = PixelDefend(num_events=30, eps=[0.2, 0.4], num_epochs=3, bpda_steps=6)
    density = offer.density(measurement.needs)
    measuring = Measuring(
        density, offer.dataset(), subject="it", seed=0, folder=tmp_path, cache=tmp_path / "cache"
    )
    assert measuring.refusal(measurement) is None
    _, measured = measuring.ask(measurement)
    rows = {row.case: row for row in (*measured.rows, *measured.baselines)}
    assert measured.rows[0].case == "purified, BIM, eps 0.4"
    assert measured.index == "30 of test"
    test, labels = Bars().load("test").events, Bars().load_labels("test").values
    assert len(test) > 30, "some are left out, here and there"
    chosen = torch.arange(30) * len(test) // 30
    images, labels = test[chosen], labels[chosen]
    kept = sorted((tmp_path / "cache" / "artifacts").iterdir())
    assert len(kept) == 2, "the classifier and the attacked images, once per dataset"
    from arbench.files.tensors import load_tensors

    tensors = {key: t for file in kept for key, t in load_tensors(file).items()}
    model = loaded({k: t for k, t in tensors.items() if "." in k}, (1, 6, 6), 2)
    attacked = {k: t for k, t in tensors.items() if "." not in k}
    assert rows["undefended, clean"].value == accuracy(model, images, labels)
    for attack in (Attack("bim", 0.4), Attack("fgsm", 0.2)):
        seen = attacked[attack.key]
        radius = levels_of(attack.eps, 16)
        for greedy, how in ((True, "purified"), (False, "one-shot")):
            pure = purify(density, seen, radius, greedy=greedy)
            row = rows[f"{how}, {attack.title}"]
            assert row.value == accuracy(model, pure, labels)
        assert rows[f"undefended, {attack.title}"].value == accuracy(model, seen, labels)
        row = rows[f"threshold, {attack.title}"]
        assert row.value == accuracy(model, thresholded(seen, 16), labels)
        row = rows[f"median filter, {attack.title}"]
        assert row.value == accuracy(model, median_filtered(seen), labels)
        row = rows[f"detected, {attack.title}"]
        scores = torch.cat([-density.log_prob(each.long()).detach() for each in (seen, images)])
        assert row.value == pytest.approx(roc_auc_score(np.repeat([1, 0], 30), scores.numpy()))
        row = rows[f"detected by the share of pixels above 0, {attack.title}"]
        shares = [(each > 0).flatten(1).double().mean(1) for each in (seen, images)]
        expected = roc_auc_score(np.repeat([1, 0], 30), torch.cat(shares).numpy())
        assert row.value == pytest.approx(expected)
    assert {"purified, BPDA, eps 0.2", "purified, clean, by 0.4"} <= {*rows}
    knows = Attacker(model, labels, (1, 6, 6), 2, 16, Preprocessor(density, levels_of(0.4, 16)))
    found = knows.bim(images, 0.4, steps=6, share=BPDA_SHARE)
    pure = purify(density, found, levels_of(0.4, 16))
    assert torch.equal(measured.values["purified_bpda_40"], right(model, pure, labels))
    of_train, of_clean = (
        density.log_prob(each.long()).detach() for each in (Bars().load("train").events, images)
    )
    ranks = (of_train <= of_clean[:, None]).sum(1) + 1
    expected = ranks.double() / (len(of_train) + 1)
    assert measured.values["p_clean"].tolist() == pytest.approx(expected.tolist())
    for case in ("purified, BIM, eps 0.4", "purified, FGSM, eps 0.4", "undefended, FGSM, eps 0.4"):
        share = rows[case].value
        assert 0 < share < 1
        assert rows[case].error == pytest.approx((share * (1 - share) / 29) ** 0.5, abs=1e-9)
    assert all(picture.stat().st_size > 1000 for picture in measured.pictures)
    assert len(measured.pictures) == 6


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (EventSpec((1, 3, 3), Discrete(2)), "have 2 levels"),
        (EventSpec((5,), Discrete(256)), "attacks images of levels"),
        (EventSpec((1, 3, 3), Real()), "attacks images of levels"),
        (EventSpec((1, 3, 3), Discrete(9)), None),
    ],
)
def test_it_refuses_what_it_cannot_attack(spec: EventSpec, said: str | None) -> None:
    dataset = Dataset(TinyTask(TinyEvents(spec)))
    density = OFFERS["levels-4x4"].density(PixelDefend.needs)
    measuring = Measuring(density, dataset, subject="it", seed=0, folder=Path())
    found = measuring.refusal(PixelDefend())
    assert found is None if said is None else said in str(found)


@pytest.mark.parametrize(
    "wrong",
    [{"num_events": 0}, {"num_epochs": 0}, {"bpda_steps": -1}]
    + [{"eps": eps} for eps in ([], [0.2, 0.1], [0.1, 0.101], [0.0], [1.2])],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"at least|shares"):
        PixelDefend(**wrong)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.skipif("ARBENCH_DATA" not in os.environ, reason="needs MNIST: set ARBENCH_DATA")
def test_the_recipe_purifies_real_digits(tmp_path: Path) -> None:
    """Trained and measured whole: what the README says of it, with some room for luck."""
    run = arbench.run("mnist-gray", "pixelcnn", precision="bfloat16", out=tmp_path / "run")
    bits = run.record.splits["test"].bits_per_dim
    assert bits is not None
    assert bits < 1.04
    section = arbench.measure_run(run.path, "pixeldefend").measurements["pixeldefend"]
    found = {row.case: row.value for row in (*section.rows, *section.baselines)}
    assert found["undefended, clean"] >= 0.985
    assert found["undefended, BIM, eps 0.2"] <= 0.03
    assert found["undefended, random signs, eps 0.3"] >= 0.95
    assert found["purified, FGSM, eps 0.3"] - found["one-shot, FGSM, eps 0.3"] >= 0.25
    assert found["purified, BIM, eps 0.3"] - found["one-shot, BIM, eps 0.3"] >= 0.4
    assert found["purified, clean, by 0.3"] >= 0.98
    for eps, least in ((0.1, 0.945), (0.2, 0.86), (0.3, 0.73)):
        assert found[f"purified, BIM, eps {eps:g}"] >= least
    assert found["detected, BIM, eps 0.3"] >= 0.999
