"""Reads the pixels of an image file without converting them.

Pillow opens many files by rescaling, cutting or leaving out what they hold and says nothing. Here
only those are read whose stored numbers it hands over as they are.
"""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from arbench.errors import DataError

MODES = ("1", "L", "RGB")
IMAGE_EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm"}
)
"""How the names of image files end, in small letters; `read_pixels` reads each kind."""

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_BY_YOURSELF = "convert it yourself, so that nothing is lost unnoticed"
_BITS = {"1": 1, "L": 8, "RGB": 8}  # of a channel
_NETPBM = re.compile(
    rb"P(?P<kind>[1-6])(?:\s|#[^\n]*\n)+(?P<numbers>(?:\d+(?:\s|#[^\n]*\n)+){2,3})"
)
_TIFF_BITS, _TIFF_ORIENTATION, _TIFF_NUM_SAMPLES, _TIFF_SAMPLE_FORMAT = 258, 274, 277, 339
_UNSIGNED = 1


@dataclass(frozen=True)
class Pixels:
    """One image.

    Attributes:
        mode: Pillow's name for black and white ("1"), grey ("L") or colour ("RGB").
        levels: `(C, H, W)` uint8; 0 (black) and 1 in mode "1".
    """

    mode: str
    levels: NDArray[np.uint8]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.levels.shape[2], self.levels.shape[1]


def read_pixels(file: Path, place: str) -> Pixels:
    """The pixels of an image file.

    A palette is not looked up, a rotation noted in the file is not applied.

    Args:
        file: where it is.
        place: what an error message calls it.

    Raises:
        DataError: if it is no image, or one whose numbers Pillow would change.
    """
    if not file.is_file():
        raise DataError(f"{place}: found no file that can be read, expected an image")
    try:
        content = file.read_bytes()
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            num_frames = getattr(image, "n_frames", 1)
            bits = _bits_stored(image, content, place)
            problem = _problem(image, num_frames, bits)
            if problem is not None:
                raise DataError(f"{place}: found {problem}; {_BY_YOURSELF}")
            mode, (width, height) = image.mode, image.size
            levels = np.asarray(image)
    except UnidentifiedImageError as error:
        raise DataError(
            f"{place}: expected an image, of the kinds {', '.join(_FORMATS)}"
        ) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{place}: expected an image, Pillow says: {error}") from error
    channels_last = levels.reshape(height, width, -1).astype(np.uint8)
    return Pixels(mode, channels_last.transpose(2, 0, 1))


def _problem(image: Image.Image, num_frames: int, bits: int) -> str | None:
    """What of an image would not be read as it is stored, and what was expected."""
    if num_frames != 1:
        return f"{num_frames} frames, expected one"
    if image.mode not in MODES:
        return f"mode {image.mode}, expected one of {', '.join(MODES)}"
    if "transparency" in image.info:
        return f"mode {image.mode} with a transparent colour, expected none"
    if bits != _BITS[image.mode]:
        return f"{bits} bits a channel in mode {image.mode}, expected {_BITS[image.mode]}"
    return None


def _bits_stored(image: Image.Image, content: bytes, place: str) -> int:
    """How many bits the file has for each channel of a pixel; Pillow says it for no format.

    Raises:
        DataError: if the file is damaged, or says something else that Pillow would act upon.
    """
    match image.format:
        case "PNG":
            _check_chunks(content, place)
            return content[24]
        case "PPM":
            return _netpbm_bits(content, image, place)
        case "BMP":
            at = 24 if content[14] == 12 else 28  # the oldest header is shorter
            bits = int.from_bytes(content[at : at + 2], "little")
            expected = len(image.getbands()) * _BITS.get(image.mode, bits)
            if bits != expected:  # in two colours Pillow takes a byte for eight pixels
                raise DataError(
                    f"{place}: found {bits} bits a pixel in mode {image.mode}, expected "
                    f"{expected}; {_BY_YOURSELF}"
                )
        case "TIFF":
            return _tiff_bits(image, place)
    return _BITS.get(image.mode, 8)  # these have no other


def _check_chunks(content: bytes, place: str) -> None:
    """Refuse a PNG of which a chunk is cut or damaged, whether or not Pillow needs it."""
    position, kind = 8, b""
    while kind != b"IEND":
        size = int.from_bytes(content[position : position + 4], "big")
        body = content[position + 4 : position + 8 + size]
        checksum = content[position + 8 + size : position + 12 + size]
        if len(checksum) < 4 or zlib.crc32(body) != int.from_bytes(checksum, "big"):
            raise DataError(f"{place}: expected an image, the png is damaged or cut short")
        kind = body[:4]
        position += 12 + size


def _netpbm_bits(content: bytes, image: Image.Image, place: str) -> int:
    """Of a PBM 1; of a PGM or PPM 8, since Pillow stretches every other range to that."""
    match = _NETPBM.match(content)
    if match is None:
        raise DataError(f"{place}: expected an image, found a netpbm file other than P1 to P6")
    kind = int(match["kind"])
    if kind in (1, 4):
        return 1
    numbers = re.sub(rb"#[^\n]*\n", b" ", match["numbers"]).split()
    highest = int(numbers[2]) if len(numbers) == 3 else 0
    if highest != 255:
        raise DataError(
            f"{place}: found a highest value of {highest}, expected 255; {_BY_YOURSELF}"
        )
    width, height = image.size
    size = width * height * (3 if kind == 6 else 1)
    if kind > 3 and (found := len(content) - _end_of_header(content, match)) > size:
        raise DataError(
            f"{place}: found {found:,} bytes of pixels, expected {size:,}; a file holds one image"
        )
    return 8


def _end_of_header(content: bytes, match: re.Match[bytes]) -> int:
    """Where pixels begin: one white character behind the last number, whatever they look like."""
    numbers = list(re.finditer(rb"\d+", re.sub(rb"#[^\n]*", _blanks, match["numbers"])))
    return match.start("numbers") + numbers[2].end() + 1


def _blanks(comment: re.Match[bytes]) -> bytes:
    return b" " * len(comment[0])


def _tiff_bits(image: Any, place: str) -> int:
    """Of its first channel, if all are alike and nothing is to be turned or left out."""
    tags = image.tag_v2
    if (turned := tags.get(_TIFF_ORIENTATION, 1)) != 1:
        raise DataError(
            f"{place}: found the orientation {turned}, expected 1 (upright); {_BY_YOURSELF}"
        )
    bits = tags.get(_TIFF_BITS, (1,))
    samples = tags.get(_TIFF_NUM_SAMPLES, 1)
    formats = tags.get(_TIFF_SAMPLE_FORMAT, (_UNSIGNED,))
    if set(formats) != {_UNSIGNED} or samples not in (1, 3) or len(set(bits)) != 1:
        raise DataError(
            f"{place}: found {samples} samples a pixel of {bits} bits, expected 1 or 3 of unsigned "
            f"numbers; {_BY_YOURSELF}"
        )
    return int(bits[0])
