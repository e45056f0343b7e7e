"""Which results' models a page can carry, and their weights as it carries them."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from arbench.boards.results import Result
from arbench.boards.rows import Board
from arbench.data.rendering import TextRendering
from arbench.files.tensors import load_tensors
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder
from arbench.runs.loading import read_config

_MOST_BYTES = 2_000_000  # of a model's weights at 16 bits each
_MOST_STEPS = 32767
_DIGIT = [1, 28, 28]

Packed = list[float] | dict[str, Any]


def find_drawing(boards: Iterable[Board]) -> Result | None:
    """The best result whose model can draw digits on a page; None if there is none.

    That is a tied NADE with ReLU units over 28x28 binary pixels in raster order.
    """
    return _first(boards, "mnist", "nade", _draws)


def find_naming(boards: Iterable[Board]) -> Result | None:
    """The best result whose model can go on with a name on a page: an LSTM; None for none."""
    return _first(boards, "names", "lstm", _names)


def _first(
    boards: Iterable[Board], task: str, model: str, fits: Callable[[RunConfig], bool]
) -> Result | None:
    for board in boards:
        for result in (row.result for row in board.rows if board.task == task):
            if result is None or result.folder is None or result.record.model.name != model:
                continue
            folder = RunFolder(result.folder)
            small = folder.model.exists() and folder.model.stat().st_size <= 2 * _MOST_BYTES
            if small and fits(read_config(result.folder)):
                return result
    return None


def _draws(config: RunConfig) -> bool:
    settings = config.hyperparameters
    plain = settings["tied"] and settings["activation"] == "relu" and not settings.get("direct")
    return bool(plain) and _is_raster(config) and config.members[0].layout.event.shape == _DIGIT


def _names(config: RunConfig) -> bool:
    settings = config.hyperparameters
    plain = not (settings["ordinal"] or settings["coordinates"])
    return plain and _is_raster(config) and isinstance(config.shown, TextRendering)


def _is_raster(config: RunConfig) -> bool:
    """Whether one network draws single dims in raster order."""
    return (
        len(config.members) == 1
        and config.head in ("bernoulli", "categorical")
        and config.members[0].layout.order is None
        and config.members[0].layout.sites == "dim"
    )


def weights_of(result: Result) -> dict[str, Packed]:
    """The weights of a result's run by name, at 16 bits each.

    A row of a matrix is whole multiples of a step, which is its largest weight / 32767: of one size
    in the page, float16 is three times further from the weights' nats (0.006 instead of 0.002 on
    the worst of 100 digits).

    Returns:
        For a matrix `{"steps": one for each row, "integers": base64 of int16 row by row}`; the
        numbers themselves of whatever has one column.

    Raises:
        CheckpointError: if they are damaged, or not those of the record.
    """
    assert result.folder is not None  # see `_first`
    return _packed_file(RunFolder(result.folder).model, result.record.sha256.weights)


@functools.lru_cache(maxsize=2)
def _packed_file(file: Path, sha256: str | None) -> dict[str, Packed]:
    tensors = load_tensors(file, sha256=sha256)
    return {name: _packed(tensor) for name, tensor in tensors.items()}


def _packed(tensor: Tensor) -> Packed:
    if tensor.dim() == 1 or tensor.shape[-1] == 1:
        numbers: list[float] = tensor.flatten().tolist()
        return numbers
    rows = tensor.flatten(0, -2).double().numpy()
    steps = np.abs(rows).max(1, keepdims=True) / _MOST_STEPS
    steps[steps == 0] = 1
    integers = np.rint(rows / steps).astype(np.dtype("<i2"))
    text = base64.b64encode(integers.tobytes()).decode("ascii")
    return {"steps": steps[:, 0].tolist(), "integers": text}
