"""Detection's numbers, held against pairs counted one by one, scikit-learn, scipy, arithmetic."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, kstest
from torch import Tensor

from arbench import (
    ConfigError,
    Density,
    Discrete,
    Diverged,
    EventSpec,
    ForeignDensity,
    ImageRendering,
    Split,
    SplitName,
    Task,
    uniforms,
)
from arbench.data.dataset import Dataset
from arbench.measure.asking import Measuring
from arbench.measure.opening import open_measurement
from arbench.testing import conformance
from arbench_detection import background, others, perturbations
from arbench_detection.measurement import Detection
from arbench_detection.ranking import Ranking
from arbench_detection.scores import Reference, values_of
from arbench_detection.table import QualityTable

test_conformance = conformance("detection")


@pytest.fixture(autouse=True)
def _draws_seldom(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks ask a dozen times; a run and a toy below show that pictures are drawn."""
    if request.node.originalname == "test_conformance":
        monkeypatch.setattr("arbench_detection.measurement._drawn", lambda *arguments: [])


SIZES = ((1, 1), (1, 40), (30, 1), (57, 43), (400, 300))


def drawn(count: int, key: int, *, num_levels: int | None = None) -> Tensor:
    """Scores; of few levels they have many ties."""
    numbers = torch.from_numpy(uniforms(count, 7, key))
    return numbers if num_levels is None else (num_levels * numbers).floor()


def weighted(count: int, key: int) -> Tensor:
    return -torch.from_numpy(uniforms(count, 8, key)).neg().log1p()


# A ranking.


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("num_levels", [None, 1, 5])
def test_auroc_is_the_share_of_pairs_in_order(sizes: tuple[int, int], num_levels: Any) -> None:
    home, outliers = (drawn(n, k, num_levels=num_levels) for k, n in enumerate(sizes, 1))
    a, b = (weighted(n, k) for k, n in enumerate(sizes, 1))
    pairs = sum(
        float(a[i] * b[j]) * (1.0 if outliers[j] > home[i] else 0.5 * float(outliers[j] == home[i]))
        for i, j in itertools.product(range(len(home)), range(len(outliers)))
        if len(home) * len(outliers) < 3000
    )
    found = Ranking(home, outliers).quality(a[None], b[None]).auroc.item()
    if len(home) * len(outliers) < 3000:
        assert found == pytest.approx(pairs / float(a.sum() * b.sum()), abs=1e-12)
    swapped = Ranking(outliers, home).quality(b[None], a[None]).auroc.item()
    assert swapped == pytest.approx(1 - found, abs=1e-12)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("num_levels", [None, 6])
@pytest.mark.parametrize("has_weights", [False, True])
def test_numbers_are_those_of_scikit_learn(
    sizes: tuple[int, int], num_levels: Any, has_weights: bool
) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="install the extra `measure`")
    home, outliers = (drawn(n, k, num_levels=num_levels) for k, n in enumerate(sizes, 3))
    kinds = [weighted(n, k) if has_weights else torch.ones(n).double() for k, n in enumerate(sizes)]
    labels = np.repeat([0, 1], sizes)
    scores = torch.cat([home, outliers]).numpy()
    weights = torch.cat([each / each.sum() for each in kinds]).numpy()
    found = Ranking(home, outliers).quality(*(each[None] for each in kinds))
    auroc = metrics.roc_auc_score(labels, scores, sample_weight=weights)
    assert found.auroc.item() == pytest.approx(auroc, abs=1e-9)
    aupr = metrics.average_precision_score(labels, scores, sample_weight=weights)
    assert found.aupr.item() == pytest.approx(aupr, abs=1e-9)
    fpr, tpr, _ = metrics.roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    assert found.fpr95.item() == pytest.approx(fpr[np.argmax(tpr >= 0.95 - 1e-12)], abs=1e-9)


def test_an_event_of_weight_two_counts_twice_and_of_weight_none_not() -> None:
    home, outliers = drawn(60, 1, num_levels=9), drawn(50, 2, num_levels=9)
    counts = [(drawn(n, k) * 3).long() for n, k in ((60, 3), (50, 4))]
    repeated = [each.repeat_interleave(c) for each, c in zip((home, outliers), counts, strict=True)]
    by_weight = Ranking(home, outliers).quality(*(c.double()[None] for c in counts))
    for one, other in zip(by_weight, Ranking(*repeated).quality(), strict=True):
        assert one.item() == pytest.approx(other.item(), abs=1e-12)


def test_many_sets_of_weights_are_each_by_itself() -> None:
    ranking = Ranking(drawn(30, 1, num_levels=7), drawn(20, 2, num_levels=7))
    a, b = weighted(90, 3).view(3, 30), weighted(60, 4).view(3, 20)
    together = ranking.quality(a, b)
    for row in range(3):
        alone = ranking.quality(a[row : row + 1], b[row : row + 1])
        assert [x[row].item() for x in together] == [x.item() for x in alone]


def test_kinds_that_are_all_in_order_have_an_auroc_of_one_to_the_bit() -> None:
    home, outliers = drawn(300, 1), drawn(200, 2) + 1
    weights = weighted(3000, 3).view(10, 300), weighted(2000, 4).view(10, 200)
    assert Ranking(home, outliers).quality(*weights).auroc.tolist() == [1.0] * 10
    assert Ranking(outliers, home).quality(*weights[::-1]).auroc.tolist() == [0.0] * 10


def test_an_infinite_score_ranks_first_and_one_that_is_no_number_is_refused() -> None:
    home = torch.tensor([1.0, 2.0, torch.inf], dtype=torch.float64)
    outliers = torch.tensor([1.5, torch.inf], dtype=torch.float64)
    assert Ranking(home, outliers).quality().auroc.item() == pytest.approx((1 + 2 + 0.5) / 6)
    with pytest.raises(ValueError, match="no number has no rank"):
        Ranking(home, torch.tensor([torch.nan]).double())
    with pytest.raises(ValueError, match="an event of home and an outlier"):
        Ranking(home, torch.zeros(0).double())


# Scores.


def test_a_p_value_is_a_rank_among_train_events() -> None:
    train = torch.tensor([-3.0, -1.0, -2.0, -2.0]).double()
    reference = Reference.of(train, torch.tensor([-3.0, -4.0]).double())
    found = reference.p_values(
        torch.tensor([-4.0, -3.0, -2.0, -1.5, -1.0, 0.0, -torch.inf]).double()
    )
    assert found.tolist() == [each / 5 for each in (1, 2, 4, 4, 5, 5, 1)]
    assert reference.entropy == 3.5


def test_an_impossible_event_ranks_first_by_every_score_but_keeps_a_finite_number() -> None:
    log_probs = torch.tensor([-torch.inf, -90.0, -10.0]).double()
    reference = Reference(torch.tensor([-30.0, -20.0]).double(), 25.0)
    found = values_of(log_probs, reference, torch.full((3,), 40.0).double(), -log_probs.exp() - 50)
    assert all(bool(values.isfinite().all()) for values in found.values())
    assert all(int(found[name].argmax()) == 0 for name in ("typicality", "complexity", "ratio"))
    assert int(found["log_prob"].argmin()) == 0
    assert found["typicality"][1:].tolist() == [65.0, 15.0]
    assert found["complexity"][1:].tolist() == [50.0, -30.0]
    with pytest.raises(Diverged, match="nothing is typical"):
        Reference.of(log_probs, log_probs)


def test_a_one_sample_test_of_ranks_is_wrong_and_a_two_sample_test_is_not() -> None:
    """Ranks lie on a grid, which alone is too much; and they share their few train events."""
    draws = np.random.default_rng(0)
    rejected = []
    for _ in range(400):
        train, test = draws.normal(size=19), draws.normal(size=400)
        shared = Reference(torch.from_numpy(train).sort().values, 0.0).p_values(
            torch.from_numpy(test)
        )
        fresh = (
            draws.integers(1, 21, size=400) / 20
        )  # as if each were ranked among events of its own
        tests = (kstest(fresh, "uniform"), kstest(shared.numpy(), "uniform"), ks_2samp(train, test))
        rejected.append([each.pvalue < 0.05 for each in tests])
    on_the_grid, one_sample, two_sample = np.mean(rejected, 0)
    assert on_the_grid == pytest.approx(0.68, abs=0.08)
    assert one_sample > 0.95
    assert two_sample < 0.08


def test_code_lengths_are_longer_the_less_there_is_to_repeat() -> None:
    spec = EventSpec((1, 28, 28), Discrete(256))
    flat, noise = torch.zeros(1, 1, 28, 28).long(), (256 * drawn(784, 1)).long().view(1, 1, 28, 28)
    ramp = torch.arange(28).repeat(28, 1).view(1, 1, 28, 28)
    lengths = background.code_nats(Split(torch.cat([flat, ramp, noise])), spec).tolist()
    assert lengths[0] <= lengths[1] < 30 * 8 * math.log(2)
    assert lengths[2] > 784 * 8 * math.log(2)


# Outliers.


def test_perturbations_do_what_they_are_called() -> None:
    digits = (drawn(5 * 64, 1) < 0.3).long().view(5, 1, 8, 8)
    digits[..., 0, :] = digits[..., :, 0] = 0
    assert torch.equal(perturbations.inverted(digits, 2), 1 - digits)
    moved = perturbations.shifted(digits)
    assert torch.equal(moved[..., 1:, 1:], digits[..., :-1, :-1])
    assert not moved[..., 0, :].any()
    level = torch.full((1, 1, 8, 8), 93)
    assert torch.equal(perturbations.blurred(level), level)
    step = torch.zeros(1, 1, 1, 8).long()
    step[..., 4:] = 16
    assert perturbations.blurred(step).flatten().tolist() == [0, 0, 1, 5, 11, 15, 16, 16]
    assert (perturbations.jpeg(level, 256) - level).abs().max() <= 8, "quantised, and no more"
    assert set(perturbations.jpeg(digits, 2).flatten().tolist()) <= {0, 1}


def test_noise_keeps_how_frequent_every_pixel_is_and_no_more() -> None:
    train = (drawn(4000 * 4, 1).view(4000, 1, 2, 2) < torch.tensor([[0.1, 0.5], [0.9, 1.0]])).long()
    train[:, 0, 0, 1] = train[:, 0, 0, 0]  # two pixels that are always equal
    noise = perturbations.marginal_noise(train[:3000], train)
    gaps = (noise.double().mean(0) - train.double().mean(0)).abs()
    assert gaps.max() < 5 * 0.5 / math.sqrt(3000)
    equal = (noise[:, 0, 0, 0] == noise[:, 0, 0, 1]).double().mean().item()
    assert equal == pytest.approx(0.1**2 + 0.9**2, abs=0.05)


def test_only_letters_of_a_word_move() -> None:
    words = torch.tensor([[1, 2, 3, 0, 0], [4, 0, 0, 0, 0]])
    letters = words != 0
    assert perturbations.reversed_(words, letters).tolist() == [[3, 2, 1, 0, 0], [4, 0, 0, 0, 0]]
    found = perturbations.shuffled(words.repeat(200, 1), letters.repeat(200, 1))
    assert torch.equal(found.sort(1).values, words.repeat(200, 1).sort(1).values)
    assert {tuple(row) for row in found[::2, :3].tolist()} == {*itertools.permutations((1, 2, 3))}
    assert not found[:, 3:].any()


# A toy of which everything is known.

SHARE, SIDE = 0.3, 10
HALF_NATS = -SIDE * SIDE * math.log(1 - SHARE)  # of a blank image
ENTROPY = HALF_NATS * (1 - SHARE) - SIDE * SIDE * SHARE * math.log(SHARE)


class Speckles(Task):
    """Images whose pixels are 1 by chance, each for itself."""

    name = "speckles"
    version = "1"
    spec = EventSpec((1, SIDE, SIDE), Discrete(2))
    unit = "pixel"
    source = "this test"
    rendering = ImageRendering()

    def load(self, split: SplitName) -> Split:
        key = ("train", "validation", "test").index(split) + 20
        bits = drawn(400 * SIDE * SIDE, key) < SHARE
        return Split(bits.to(torch.uint8).view(400, 1, SIDE, SIDE))


class Coins:
    """The very distribution that they come from."""

    def log_prob(self, events: Tensor) -> Tensor:
        ones = events.flatten(1).double().sum(1)
        return ones * math.log(SHARE) + (SIDE * SIDE - ones) * math.log(1 - SHARE)

    def sample(self, num_events: int) -> Tensor:
        raise NotImplementedError


def truth() -> Density:
    return ForeignDensity(Coins(), spec=Speckles.spec, kind="exact")


def measured(folder: Path, **settings: Any) -> Any:
    measuring = Measuring(
        truth(), Dataset(Speckles()), subject="truth", seed=0, folder=folder, cache=None
    )
    return measuring.ask(Detection(**settings))[1]


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return measured(tmp_path_factory.mktemp("toy"), num_events=300, num_train=350)


def test_the_likeliest_image_of_all_is_no_outlier_by_log_p_and_one_by_typicality(
    answer: Any,
) -> None:
    found = {row.case: row.value for row in answer.rows}
    assert found["log p, blank"] == 0
    assert found["typicality, blank"] == 1
    assert found["p-value, mean"] < found["typicality, mean"]
    first = answer.values["other"].long()
    nats = -answer.values["log_prob"]
    assert nats[first == 1].tolist() == [pytest.approx(HALF_NATS, rel=1e-12)]
    assert answer.details["entropy_nats"] == pytest.approx(ENTROPY, abs=4 * 4.1 / math.sqrt(350))
    gaps = (nats - answer.details["entropy_nats"]).abs()
    assert torch.equal(answer.values["typicality"], gaps)
    assert answer.details["table"]["blank"]["log_prob"]["fpr95"]["value"] == 1


def test_noise_of_equal_frequencies_is_home_itself_where_pixels_are_independent(
    answer: Any,
) -> None:
    cells = answer.details["table"]["noise"]
    for score in ("log_prob", "typicality", "p_value"):
        cell = cells[score]["auroc"]
        assert abs(cell["value"] - 0.5) < 4 * cell["error"]
        assert 0.015 < cell["error"] < 0.035


def test_the_number_is_made_of_its_values_by_scikit_learn_too(answer: Any) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="install the extra `measure`")
    other, scores = answer.values["other"].numpy(), answer.values["typicality"].numpy()
    kinds = []
    for number in range(1, int(other.max()) + 1):
        rows = (other == 0) | (other == number)
        kinds.append(metrics.roc_auc_score(other[rows] > 0, scores[rows]))
    assert answer.rows[0].value == pytest.approx(np.mean(kinds), abs=1e-9)
    assert len(kinds) == len(answer.details["table"]) == 6


def test_distances_are_those_of_scipy(answer: Any) -> None:
    home = -answer.values["log_prob"][answer.values["other"] == 0].numpy()
    train = Dataset(Speckles()).split("train").events[torch.arange(350) * 400 // 350]
    with torch.no_grad():
        nats = -truth().log_prob(train).double().numpy()
    test = ks_2samp(home, nats)
    assert answer.details["ks_train"] == {
        "distance": pytest.approx(test.statistic),
        "p_value": pytest.approx(test.pvalue),
    }
    assert answer.details["ks_halves"]["p_value"] > 0.01


def test_an_outlier_made_of_an_event_is_not_independent_of_it(answer: Any) -> None:
    assert answer.num_groups == 300 + 1 + 300 + 300
    other, groups = answer.values["other"], answer.groups
    assert torch.equal(groups[other == 0], groups[other == 2])
    assert not set(groups[other == 0].tolist()) & set(groups[other == 3].tolist())


def test_errors_are_as_large_as_the_number_varies() -> None:
    """Over data drawn anew, the standard deviation of an AUROC is what the bootstrap says."""
    found, errors = [], []
    for key in range(60):
        home, outliers = drawn(80, 100 + key), drawn(60, 300 + key) + 0.3
        values = {"typicality": torch.cat([home, outliers])}
        other = torch.tensor([0] * 80 + [1] * 60)
        if key < 5:
            table = QualityTable.of(values, other, ["moved"], torch.arange(140))
            errors.append(table.cells["moved", "typicality", "auroc"].error)
        found.append(Ranking(home, outliers).quality().auroc.item())
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.35)


def test_what_means_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="go to its folder and write files:b.png"):
        open_measurement("detection?against=files:a/b.png")
    with pytest.raises(ConfigError, match="each once"):
        open_measurement("detection?against=blank,blank")
    for path in ("/runs/run", "../run", "~/run"):
        with pytest.raises(ConfigError, match="a path from elsewhere, and settings stand in the"):
            open_measurement(f"detection?background={path}")
    with pytest.raises(ConfigError, match="num_train is 1"):
        open_measurement("detection?num_train=1")
    measuring = Measuring(truth(), Dataset(Speckles()), subject="a", seed=0, folder=tmp_path)
    assert measuring.refusal(Detection(against="reversed")) == (
        "'reversed' means nothing for this image; there are blank, inverted, noise, uniform, "
        "shifted, blurred, jpeg"
    )
    assert measuring.refusal(Detection(against="generated,jpeg")) is None
    few = Measuring(truth(), Dataset(Speckles(), limit=3), subject="a", seed=0, folder=tmp_path)
    assert "3 test events can be compared, and 4 are needed" in str(few.refusal(Detection()))
    few.dataset = Dataset(Speckles(), limit=4)
    assert few.refusal(Detection()) is None
    assert few.ask(Detection())[1].num_values == 4 * 6 + 1


class Photographs(Task):
    """Small images in colour."""

    name = "photographs"
    version = "1"
    spec = EventSpec((3, 4, 4), Discrete(256))
    unit = "dim"
    source = "this test"
    rendering = ImageRendering()

    def load(self, split: SplitName) -> Split:
        key = ("train", "validation", "test").index(split) + 40
        levels = (
            100
            + 60 * drawn(60 * 3, key).view(60, 3, 1, 1)
            + 20 * drawn(60 * 48, key + 9).view(60, 3, 4, 4)
        )
        return Split(levels.to(torch.uint8))


def test_images_in_colour_have_every_kind_of_outlier(tmp_path: Path) -> None:
    dataset = Dataset(Photographs())
    model = background.tables(Photographs.spec)
    train = dataset.split("train")
    model.network.load_state_dict(background.fitted(Photographs.spec, train))
    assert model.network.num_neighbours == 1, "as many as leave the tables small"
    measuring = Measuring(model, dataset, subject="cpt", seed=0, folder=tmp_path, cache=None)
    found = measuring.ask(Detection(against="generated,jpeg", num_events=40, num_train=40))[1]
    table = found.details["table"]
    assert [*table] == ["blank", "inverted", "noise", "uniform", "shifted", "blurred", "jpeg"]
    assert table["uniform"]["log_prob"]["auroc"]["value"] > 0.9
    assert table["noise"]["ratio"]["auroc"]["value"] == 0.5, "the model is its own background"


def test_names_are_expanded_once_each() -> None:
    class Images:
        spec, rendering = Speckles.spec, ImageRendering()

    found = others.expanded(["noise", "generated", "mnist"], Images())  # type: ignore[arg-type]
    assert found == ["noise", "blank", "inverted", "uniform", "shifted", "blurred", "mnist"]
