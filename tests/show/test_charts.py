import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from arbench import chart_files, drawn_chart


def _draw(path):
    with drawn_chart(path, width=4, height=3) as figure:
        figure.subplots().plot([1, 2], [3, 4], label="nade")


def test_a_chart_is_two_files_on_a_background_of_its_own(tmp_path):
    _draw(tmp_path / "curve.v1")
    picture, drawing = chart_files(tmp_path / "curve.v1")
    assert [picture.name, drawing.name] == ["curve.v1.png", "curve.v1.svg"]
    pixels = np.asarray(Image.open(picture).convert("RGBA"))
    assert pixels.shape == (450, 600, 4)
    assert (pixels[..., 3] == 255).all()
    assert (pixels[0, 0] == 255).all()
    assert ElementTree.parse(drawing).getroot().tag.endswith("}svg")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["curve.v1.png", "curve.v1.svg"]


def test_the_same_chart_is_the_same_bytes_whatever_the_readers_settings(tmp_path):
    _draw(tmp_path / "first")
    with matplotlib.rc_context({"axes.facecolor": "black", "figure.dpi": 50}):
        _draw(tmp_path / "second")
    for first, second in zip(
        chart_files(tmp_path / "first"), chart_files(tmp_path / "second"), strict=True
    ):
        assert first.read_bytes() == second.read_bytes()


def test_a_chart_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError), drawn_chart(tmp_path / "curve"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())
