"""Pictures: tiles hold the events' own pixels, given rows are marked beside them."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from arbench.errors import ConfigError
from arbench.probability.events import Discrete, EventSpec
from arbench.show.given import known_rows
from arbench.show.samples import draw_grid, save_picture

ORANGE = [230, 120, 0]
GREY = EventSpec((1, 3, 4), Discrete(2))
COLOUR = EventSpec((3, 3, 4), Discrete(256))
ROW = EventSpec((4,), Discrete(2))


def _small(image: Image.Image, height: int) -> np.ndarray:
    """The picture at one pixel for each pixel of the grid, `(height, W, 3)`."""
    pixels = np.asarray(image.convert("RGB"))
    factor = pixels.shape[0] // height
    return pixels[::factor, ::factor]


@pytest.mark.parametrize("spec", [GREY, COLOUR])
def test_given_rows_have_an_edge_and_every_pixel_stays(spec: EventSpec) -> None:
    events = torch.randint(spec.domain.size, (3, *spec.shape))
    grid = _small(draw_grid(events, spec, known=known_rows(spec, 2)), height=12)
    levels = (events * (255 // (spec.domain.size - 1))).expand(3, 3, 3, 4).permute(0, 2, 3, 1)
    for index, tile in enumerate(levels.numpy()):
        top, left = 2 + 5 * (index // 2), 2 + 6 * (index % 2)
        assert (grid[top : top + 3, left : left + 4] == tile).all()
        for column in (left - 1, left + 4):
            marked = (grid[top : top + 3, column] == ORANGE).all(-1)
            assert marked.tolist() == [True, True, False]
    orange = (grid == ORANGE).all(-1)
    assert orange.sum() == 3 * 2 * 2  # the empty fourth tile has no edge


def test_without_given_rows_a_grey_grid_stays_grey() -> None:
    assert draw_grid(torch.zeros(2, 1, 3, 4, dtype=torch.uint8), GREY).mode == "L"


def test_known_rows_of_an_image_and_dims_of_a_row() -> None:
    assert known_rows(COLOUR, 2).sum(dim=(0, 2)).tolist() == [12, 12, 0]
    assert known_rows(ROW, 3).tolist() == [True, True, True, False]
    for spec, words in ((GREY, "an image has 3 rows"), (ROW, "an event has 4 dims")):
        with pytest.raises(ConfigError, match=words):
            known_rows(spec, 5)


def test_a_picture_is_written_as_svg_where_its_path_ends_so(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    save_picture(Image.fromarray(pixels), tmp_path / "grid.svg")
    text = (tmp_path / "grid.svg").read_text()
    assert 'viewBox="0 0 4 3"' in text
    assert "image-rendering:pixelated" in text
    (data,) = re.findall('base64,([^"]+)"', text)
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) == pixels).all()
