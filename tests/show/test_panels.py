"""Pictures of samples beside what was given of them, and beside how likely they were."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import arbench
from arbench.data.rendering import AudioRendering, TextRendering
from arbench.errors import ConfigError
from arbench.probability.events import Discrete, EventSpec
from arbench.show.given import known_rows
from arbench.show.panels import (
    Panel,
    draw_likely_sounds,
    expected_levels,
    image_panels,
    own_bits,
    require_conditionals,
    save_panels,
    spell_probabilities,
)

SPEC = EventSpec((1, 3, 4), Discrete(2))
COLOUR = EventSpec((3, 3, 4), Discrete(4))


class Stated:
    """A density whose conditionals are drawn at random once, whatever the event."""

    def __init__(self, spec: EventSpec, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(*spec.shape, spec.domain.size, generator=generator).double()
        self.probabilities, self.asked = logits.softmax(-1), 0

    def conditionals(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        self.asked += 1
        return self.probabilities.log().expand(len(events), *self.probabilities.shape)


@pytest.mark.parametrize("spec", [SPEC, COLOUR])
def test_the_panel_of_levels_has_the_mean_of_every_dim(spec: EventSpec) -> None:
    density, size = Stated(spec), spec.domain.size
    events = torch.zeros(3, *spec.shape, dtype=torch.int64)
    levels = expected_levels(density, events)
    by_hand = sum(value * density.probabilities[..., value] for value in range(size))
    torch.testing.assert_close(levels, by_hand.expand(3, *spec.shape))
    samples, likely = image_panels(events, spec, levels=levels)
    assert (samples.title, likely.title.split(",")[0]) == (
        "samples",
        "probability of white" if size == 2 else "expected level",
    )
    found = np.asarray(likely.picture.convert("RGB"))[2:5, 2:6]
    shades = (255 * by_hand / (size - 1)).round().expand(3, 3, 4).permute(1, 2, 0)
    assert (found == shades.numpy()).all()


def test_the_probabilities_are_those_of_the_model_one_pixel_after_the_other() -> None:
    """Of a model with weights, found by the sampler's own path instead of one forward."""
    density = arbench.load("mnist-mini/nade")
    events = arbench.sample(density, 3, seed=5)
    path = density.reference_path()
    path.start(3)
    stepped = []
    for value in events.flatten(1).unbind(1):
        stepped.append(path.log_probs()[:, 1].exp())
        path.tell(value)
    expected = torch.stack(stepped, 1).view(events.shape)
    assert expected.max() - expected.min() > 0.1
    torch.testing.assert_close(expected_levels(density, events), expected, atol=1e-5, rtol=0)
    # And by the likelihood: what is scored alone, given all before it, is that pixel's own.
    for number, (row, column) in enumerate([(10, 12), (14, 15), (20, 9)]):
        scored = torch.zeros(3, 1, 28, 28, dtype=torch.bool)
        scored[:, 0, row, column] = True
        own = density.log_prob(events, scored).double().exp()
        p = expected[number, 0, row, column]
        one = events[number, 0, row, column] == 1
        assert own[number].item() == pytest.approx((p if one else 1 - p).item(), abs=1e-5)


def test_completions_stand_beside_their_original() -> None:
    original = torch.ones(1, 3, 4, dtype=torch.int64)
    known = known_rows(SPEC, 1)
    events = torch.zeros(4, 1, 3, 4, dtype=torch.int64)
    panels = image_panels(events, SPEC, original=original, known=known)
    assert [panel.title for panel in panels] == ["original", "given", "completions"]
    first, given, completions = (np.asarray(p.picture.convert("RGB")) for p in panels)
    assert (first[2:5, 2:6] == 255).all()
    assert (given[2, 2:6] == 255).all()
    assert len(np.unique(given[3:5, 2:6])) == 1
    assert 0 < given[3, 2, 0] < 255  # neither black nor white, and not the gap either
    assert given[3, 2, 0] != first[0, 0, 0]
    assert given[2, 1].tolist() == [230, 120, 0]
    assert completions.shape[:2] == (3 * 2 + 2 * 3, 4 * 2 + 2 * 3)


def test_many_events_are_asked_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arbench.show.panels._MOST_NUMBERS", 100)
    density = Stated(SPEC)
    events = torch.randint(2, (9, 1, 3, 4))
    bits = own_bits(density, events)
    assert density.asked == 1 + 2  # one event, then 4 of 24 numbers each at a time
    own = density.probabilities.log2().expand(9, 1, 3, 4, 2).gather(-1, events[..., None])
    torch.testing.assert_close(bits, -own[..., 0])


def test_panels_are_written_alike_as_png_and_svg(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small = [Image.fromarray(rng.integers(0, 256, (n, 10), np.uint8)) for n in (10, 20)]
    panels = [Panel("one & two", small[0]), Panel("three", small[1])]
    for number in ("1", "2"):
        save_panels(panels, tmp_path / f"{number}.png")
        save_panels(panels, tmp_path / f"{number}.svg")
    for ending in ("png", "svg"):
        assert len({(tmp_path / f"{n}.{ending}").read_bytes() for n in "12"}) == 1
    png = Image.open(tmp_path / "1.png")
    assert png.mode == "RGB"
    assert np.asarray(png)[0].min() == 255  # white all around, whatever the page
    assert np.asarray(png)[:, 0].min() == 255
    tree = ElementTree.parse(tmp_path / "1.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert [node.text for node in tree.iter(f"{space}text")] == ["one & two", "three"]
    assert tree.get("viewBox") == f"0 0 {png.width} {png.height}"
    for node, picture in zip(tree.iter(f"{space}image"), small, strict=True):
        data = base64.b64decode(re.sub("^data:image/png;base64,", "", node.get("href")))
        assert (np.asarray(Image.open(io.BytesIO(data))) == np.asarray(picture)).all()
        left, top, width, height = (int(node.get(key)) for key in ("x", "y", "width", "height"))
        drawn = np.asarray(png)[top : top + height, left : left + width, 0]
        assert (drawn[::30, ::30] == np.asarray(picture)).all()


@pytest.mark.parametrize("companding", ["mu-law", "g711", "linear"])
def test_a_sound_stands_above_how_likely_every_level_was(companding: str) -> None:
    rendering = AudioRendering(sample_rate=8000, companding=companding)
    amplitudes = rendering.amplitudes(torch.arange(256))
    loud, quiet = int(amplitudes.argmax()), int(amplitudes.argmin())
    density = Stated(EventSpec((1600,), Discrete(256)))
    density.probabilities = torch.full((1600, 256), 1e-9, dtype=torch.float64)
    density.probabilities[:800, loud] = density.probabilities[800:, quiet] = 1
    picture = draw_likely_sounds(density, torch.full((1, 1600), loud), rendering)
    pixels = np.asarray(picture).astype(int).sum(-1)
    bottom = picture.height - 16
    strip = pixels[bottom - 120 : bottom, 16:816]  # below its waveform
    assert (strip[0, :400] > strip[1:, :400].max(0)).all()
    assert (strip[-1, 400:] > strip[:-1, 400:].max(0)).all()


TEXT = TextRendering(symbols=("a", "b", "."), end=2)


def test_a_text_is_spelled_up_to_its_end_and_what_was_given_has_no_probability() -> None:
    events = torch.tensor([[0, 1, 2, 2], [0, 0, 1, 1]])
    bits = torch.tensor([[1.0, 2.0, 3.0, 9.0], [1.0, 0.0, 2.0, 1.0]]).double()
    spelled = spell_probabilities(events, bits, 1, TEXT)
    text = "".join(symbol for symbol, _ in spelled)
    assert text == "ab\naabb\n"
    nan = float("nan")
    expected = [nan, 0.25, 0.125, nan, 1.0, 0.25, 0.5, nan]
    assert [p for _, p in spelled] == pytest.approx(expected, nan_ok=True)


def test_bytes_of_one_character_multiply() -> None:
    event = torch.tensor([list("aé".encode())])
    spelled = spell_probabilities(event, torch.tensor([[1.0, 2, 3]]), 0, TextRendering())
    assert spelled[:2] == [("a", 0.5), ("é", 2.0**-5)]


def test_a_density_that_does_not_say_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"some/run.*does not say.*leave out --probabilities"):
        require_conditionals(object(), "some/run")
