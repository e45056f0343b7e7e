"""Images with transparency are refused in a sentence, not flattened unnoticed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbench.errors import DataError
from arbench_files.images import ImagesTask


def test_a_folder_of_rgba_files_names_the_file_and_the_mode(tmp_path: Path) -> None:
    for index in range(20):
        pixels = np.full((5, 6, 4), index, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index:02}.png")
    wanted = "image 0 (00.png): found mode RGBA, expected one of 1, L, RGB; convert it yourself"
    with pytest.raises(DataError, match=re.escape(wanted)):
        ImagesTask(str(tmp_path))


@pytest.mark.parametrize("shape", [(40, 5, 6, 4), (40, 4, 5, 6)])
def test_an_archive_of_four_channels_names_the_array_and_its_shape(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    np.savez(tmp_path / "rgba.npz", pixels=np.zeros(shape, dtype=np.uint8))
    with pytest.raises(DataError, match=re.escape(f"'pixels' has shape {shape}, expected")):
        ImagesTask(str(tmp_path / "rgba.npz"))
