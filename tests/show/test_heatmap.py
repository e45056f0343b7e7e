"""Heatmaps: bits at their dims, what a picture shows where, and colours that rise evenly."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from arbench.data.rendering import AudioRendering, ImageRendering, TableRendering, TextRendering
from arbench.data.tasks import Split
from arbench.measure.likelihood import SplitRecord, evaluate_log_probs
from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import Categorical, Gaussian, natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.show.colours import UNKNOWN_COLOUR, Scale, cubehelix
from arbench.show.heatmap import Surprise, draw_heatmap, ink_on, measure_surprise, shown_part, spell

IMAGES = EventSpec((1, 4, 5), Discrete(2))
HOT = (2, 3)
LETTERS = TextRendering(symbols=("\n", "a", "b"), end=0)


class Fixed(nn.Module):
    """The same parameters `(T, P)` for every event."""

    def __init__(self, params: Tensor) -> None:
        super().__init__()
        self.params = nn.Parameter(params)

    def forward(self, sites: Tensor) -> Tensor:
        return self.params.expand(len(sites), -1, -1)


def hot_pixel_model(order: list[int] | None) -> Model:
    """Of zeros, one pixel costs four bits, and every other one a quarter of a bit."""
    bits = torch.full((1, *IMAGES.shape), 0.25).double()
    bits[0, 0, *HOT] = 4.0
    layout = Layout(IMAGES, order=order)
    probability_of_one = 1 - 2**-bits
    logits = layout.to_sites(torch.logit(probability_of_one))[0]
    return Model(Fixed(logits), natural_head(layout), layout)


def surprise_of(
    bits: list[list[float]], events: list[list[int]] | None = None, unit: str = "dim"
) -> Surprise:
    values = torch.tensor(events or np.zeros_like(bits, dtype=int).tolist())
    spec = EventSpec((values.shape[1],), Discrete(256))
    return Surprise(spec, values, np.array(bits), f"bits/{unit}")


def brightness(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(pixels, dtype=float) @ [0.30, 0.59, 0.11]


@pytest.mark.parametrize("order", [None, np.random.default_rng(0).permutation(20).tolist()])
@pytest.mark.parametrize("num_members", [1, 2])
def test_a_hot_pixel_is_hot_where_it_is(order: list[int] | None, num_members: int) -> None:
    members = [hot_pixel_model(order) for _ in range(num_members)]
    density = members[0] if num_members == 1 else Ensemble(members)
    split = Split(torch.zeros(30, *IMAGES.shape, dtype=torch.uint8))
    surprise = measure_surprise(density, split, unit="pixel")
    expected = np.full((4, 5), 0.25)
    expected[HOT] = 4.0
    np.testing.assert_allclose(surprise.mean, expected[None], atol=1e-12)
    assert surprise.bits_per_dim == pytest.approx((4 + 19 * 0.25) / 20)
    picture = np.asarray(draw_heatmap(surprise, ImageRendering()))
    # The map of the mean is the first thing below the caption, 80 pixels for each of its own.
    top = int((picture[:, 0] != 255).any(-1).argmax())
    seen = brightness(picture)[top + 40 : top + 320 : 80, 40:400:80]
    hot = np.zeros((4, 5), dtype=bool)
    hot[HOT] = True
    assert (seen[hot] == 255).all()
    assert (seen[~hot] == 0).all()


def test_bits_sum_to_the_likelihood_where_dims_are_scored() -> None:
    spec = EventSpec((7,), Discrete(5))
    layout = Layout.permuted(spec, 3)
    model = Model(Fixed(torch.randn(7, 5).double()), Categorical(layout), layout)
    split = Split(torch.randint(5, (50, 7)), torch.arange(7) >= torch.randint(7, (50, 1)))
    surprise = measure_surprise(model, split, unit="dim")
    found = SplitRecord.of(evaluate_log_probs(model, split), split, spec.domain, "exact")
    assert (np.isnan(surprise.bits) == ~split.scored.numpy()).all()
    assert surprise.bits_per_dim == pytest.approx(found.bits_per_dim, rel=1e-12)
    column = np.nanmean(surprise.bits, 0)
    np.testing.assert_allclose(surprise.mean, column, rtol=1e-12)


@pytest.mark.parametrize("bin_width", [None, 0.25])
def test_bits_of_reals_know_their_bins(bin_width: float | None) -> None:
    layout = Layout(EventSpec((3,), Real(bin_width)))
    head = Gaussian(layout)
    model = Model(Fixed(torch.zeros(3, head.num_params).double()), head, layout)
    split = Split(torch.randn(8, 3))
    bits = measure_surprise(model, split, unit="dim").bits.sum()
    expected = -model.log_prob(split.events).sum().item() / math.log(2)
    assert bits == pytest.approx(expected - 24 * math.log2(bin_width or 1), rel=1e-12)


def test_a_dim_that_nobody_scores_has_no_mean() -> None:
    surprise = surprise_of([[1.0, math.nan], [3.0, math.nan]])
    np.testing.assert_equal(surprise.mean, [2.0, math.nan])


def test_of_a_text_as_many_windows_are_taken_as_are_shown() -> None:
    scored = torch.zeros(100, 64, dtype=torch.bool)
    scored[:, 32:] = True
    windows = Split(torch.zeros(100, 64, dtype=torch.uint8), scored)
    part = shown_part(windows, TextRendering())
    assert part.num_scored_dims == 1024  # the first multiple of 32 that is 1,000 or more
    assert len(shown_part(windows.first(3), TextRendering())) == 3
    assert len(shown_part(Split(torch.zeros(2000, 1024)), TableRendering())) == 1024


def test_letters_are_spelled_with_their_bits_up_to_their_end() -> None:
    nan = math.nan
    surprise = surprise_of([[1.0, 2.0, 3.0], [4.0, 0.5, nan]], [[1, 2, 0], [2, 0, 0]])
    expected = [("a", 1.0), ("b", 2.0), ("\n", 3.0), ("b", 4.0), ("\n", 0.5)]
    assert spell(surprise, LETTERS) == expected


def test_bytes_of_one_character_are_one_entry_even_across_windows() -> None:
    text = "a\u20acb".encode()
    context = math.nan
    events = [[*text[:3]], [text[2], *text[3:5]]]
    surprise = surprise_of([[1.0, 2.0, 4.0], [context, 8.0, 16.0]], events)
    assert spell(surprise, TextRendering()) == [("a", 1.0), ("\u20ac", 14.0), ("b", 16.0)]


def test_bytes_cut_within_a_character_lose_no_bits() -> None:
    cut = [*"\u20ac".encode()[:2]]
    assert spell(surprise_of([[1.0, 2.0]], [cut]), TextRendering()) == [("\ufffd", 3.0)]


def test_the_surprising_letter_is_the_bright_one() -> None:
    bits = [[0.1, 0.1, 0.1, 0.1, 6.0, 0.1, 0.1]]
    picture = draw_heatmap(surprise_of(bits, [[1, 2, 1, 2, 1, 2, 0]]), LETTERS)
    row = brightness(np.asarray(picture))[0]  # above the letters there is their colour alone
    assert [round(float(row[9 * i + 1])) for i in range(7)] == [0, 0, 0, 0, 255, 0, 0]


def test_a_table_has_a_bar_for_each_column() -> None:
    mean = [0.5, 1.0, 0.25, 0.0]
    picture = draw_heatmap(surprise_of([mean, mean]), TableRendering())
    chart = brightness(np.asarray(picture)[-200:, :800])
    heights = [(chart[:, 200 * i + 100] > 0).sum() / 200 for i in range(4)]
    assert heights == pytest.approx(mean, abs=0.01)
    assert (chart[:, :200] == chart[:, :1]).all()


@pytest.mark.parametrize("length", [400, 1600])
def test_a_sound_has_its_bits_below_it(length: int) -> None:
    bits = np.full((1, length), 2.0)
    bits[0, length // 4 : length // 2] = 4.0
    bits[0, length // 2 :] = math.nan
    events = np.full((1, length), 128)
    rendering = AudioRendering(sample_rate=8000, companding="mu-law")
    picture = draw_heatmap(surprise_of(bits.tolist(), events.tolist(), "sample"), rendering)
    strip = np.asarray(picture)
    bottom = next(
        y for y in range(len(strip) - 1, 0, -1) if (strip[y, 799] == UNKNOWN_COLOUR).all()
    )
    chart = brightness(strip[bottom - 59 : bottom + 1, :800])
    heights = [(chart[:, x] > 0).sum() for x in (100, 300, 500)]
    assert heights == [30, 60, 1]  # what is not scored has a grey line


@pytest.mark.parametrize("mode", ["image", "table"])
def test_colour_and_single_events_can_be_drawn(mode: Literal["image", "table"]) -> None:
    shape = (3, 4, 4) if mode == "image" else (5,)
    spec = EventSpec(shape, Discrete(256))
    events = torch.zeros(1, *shape, dtype=torch.uint8)
    surprise = Surprise(spec, events, np.ones((1, *shape)), "bits/dim")
    picture = draw_heatmap(surprise, ImageRendering() if mode == "image" else TableRendering())
    assert isinstance(picture, Image.Image)


def test_colours_grow_ever_brighter_and_use_the_whole_range() -> None:
    seen = brightness(cubehelix(np.linspace(0, 1, 101)))
    assert seen[0] == 0
    assert seen[-1] == pytest.approx(255)
    assert (np.diff(seen) > 0).all()
    assert np.diff(seen).max() < 2.5 * np.diff(seen).mean()  # and evenly


def test_a_scale_ends_where_values_do() -> None:
    values = np.append(np.linspace(2, 3, 100), [50.0, math.nan])
    assert Scale.over(values) == Scale(2.0, 50.0)
    assert Scale.over(values, quantile=0.98).high == pytest.approx(3.0, abs=0.02)
    assert (Scale.over(values).colours(values)[-1] == UNKNOWN_COLOUR).all()
    # Where all is alike, or all but a few, there is no quantile to end at.
    assert Scale.over(np.array([2.0, 2.0])) == Scale(2.0, 3.0)
    assert Scale.over(np.array([*[2.0] * 99, 7.0]), quantile=0.9) == Scale(2.0, 7.0)
    assert Scale.over(np.array([math.nan])) == Scale(0.0, 1.0)


def test_ink_can_be_read() -> None:
    assert [ink_on(colour) for colour in ([0, 0, 0], [255, 255, 255])] == ["white", "black"]
