"""What general compressors make of the same events; each learns from them alone, as it goes.

None of them has seen the train split, and none needs a model's weights to be read. Each is given
all events in one piece, one value a byte. Zeros and ones are packed into bytes, from the first to
the last or every row of an event by itself, and the shorter result counts.
"""

from __future__ import annotations

import bz2
import importlib
import io
import lzma
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbench import AudioRendering, Discrete, EventSpec, Rendering

Compressor = Callable[[bytes], bytes]


def _xz(data: bytes) -> bytes:
    # As with the preset alone, which would take 700 MB for however few bytes.
    best = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}
    window = min(64 << 20, max(4096, len(data)))
    return lzma.compress(data, lzma.FORMAT_XZ, filters=[{**best, "dict_size": window}])


def _zstd(data: bytes) -> bytes:
    made: bytes = importlib.import_module("zstandard").ZstdCompressor(level=22).compress(data)
    return made


def _brotli(data: bytes) -> bytes:
    made: bytes = importlib.import_module("brotli").compress(data, quality=11, lgwin=24)
    return made


def _ppmd(data: bytes) -> bytes:
    memory = min(64 << 20, max(1 << 16, 64 * len(data)))
    made: bytes = importlib.import_module("pyppmd").compress(data, max_order=16, mem_size=memory)
    return made


# name -> (what has to be importable, with which settings, compressor)
_GENERAL: Mapping[str, tuple[str, str, Compressor]] = {
    "xz": ("lzma", "preset 9, extreme", _xz),
    "bz2": ("bz2", "level 9", lambda data: bz2.compress(data, 9)),
    "zstd": ("zstandard", "level 22", _zstd),
    "brotli": ("brotli", "quality 11, window of 16 MiB", _brotli),
    "PPMd": ("pyppmd", "variant I, order 16, at most 64 MiB", _ppmd),
}
_ADAPTS = "learns from these events alone, as it goes"


def installed(spec: EventSpec, rendering: Rendering) -> dict[str, str]:
    """What each compressor that is here is given, by its name."""
    assert isinstance(spec.domain, Discrete)
    values = "one value a byte" if spec.domain.size <= 256 else "one value in 8 bytes"
    if spec.domain.size == 2:
        values = "8 bits a byte, through or row by row, whichever is shorter"
    found = {
        name: f"{values}; {settings}; {_ADAPTS}"
        for name, (module, settings, _) in _GENERAL.items()
        if _is_here(module)
    }
    if _is_picture(spec):
        found["PNG"] = f"one picture, event below event, in as few bits as it needs; {_ADAPTS}"
    if isinstance(rendering, AudioRendering):
        found["FLAC"] = f"one recording, the 256 levels as samples of 8 bits; {_ADAPTS}"
    return found


def sizes(names: Mapping[str, str], events: Tensor, spec: EventSpec) -> dict[str, Tensor]:
    """Bytes that each compressor makes of events, `()` int64 each.

    Args:
        names: of compressors; the keys of `installed`.
        events: `(N, *event_shape)`, or all that counts in a row, such as the symbols of a stream.
        spec: of the events.
    """
    assert isinstance(spec.domain, Discrete)
    numbers: NDArray[Any] = events.numpy()
    values: NDArray[Any] = numbers.astype(np.uint8 if spec.domain.size <= 256 else np.int64)
    forms = [values.tobytes()]
    if spec.domain.size == 2:
        forms = [np.packbits(each, axis=-1).tobytes() for each in (values.reshape(-1), values)]
    made = {}
    for name in names:
        if name == "PNG":
            length = len(_png(values, spec.domain.size))
        elif name == "FLAC":
            length = len(_flac(values))
        else:
            length = min(len(_GENERAL[name][2](form)) for form in forms)
        made[name] = torch.tensor(length)
    return made


def _is_here(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def _is_picture(spec: EventSpec) -> bool:
    assert isinstance(spec.domain, Discrete)
    return len(spec.shape) == 3 and spec.shape[0] in (1, 3) and spec.domain.size <= 256


def _png(images: NDArray[Any], num_levels: int) -> bytes:
    """Images `(N, C, H, W)` below each other, as a picture."""
    from PIL import Image

    rows = images.transpose(0, 2, 3, 1).reshape(-1, images.shape[3], images.shape[1])
    if images.shape[1] == 3:
        picture = Image.fromarray(np.ascontiguousarray(rows))
    else:
        picture = Image.fromarray(np.ascontiguousarray(rows[..., 0]))
        if num_levels == 2:
            picture = picture.point(lambda level: 255 * level).convert("1")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _flac(levels: NDArray[Any]) -> bytes:
    """Sounds of 256 levels behind each other, as samples of 8 bits."""
    import soundfile

    samples = (levels.reshape(-1).astype(np.int16) - 128) << 8
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16000, format="FLAC", subtype="PCM_S8")
    return buffer.getvalue()
