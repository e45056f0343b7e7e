"""Pixels: read exactly as a file stores them, or refused in a sentence that says why."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from arbench.data.formats.pixels import read_pixels
from arbench.errors import DataError
from arbench.probability.events import Discrete, EventSpec
from arbench.show.given import read_image
from arbench_files.images import ImagesTask

NOISE = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(depth: int, colour: int, row: bytes, *extra: bytes) -> bytes:
    """A png of one row, whatever its depth, as no library here would write it."""
    width = len(row) * 8 // (depth * _CHANNELS[colour])
    header = struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)
    body = _chunk(b"IDAT", zlib.compress(b"\0" + row))
    start = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)
    return start + b"".join(extra) + body + _chunk(b"IEND", b"")


def _bmp(bits: int, row: bytes, palette: bytes = b"") -> bytes:
    width, offset = len(row) * 8 // bits, 54 + len(palette)
    about = struct.pack(
        "<IiiHHIIiiII", 40, width, 1, 1, bits, 0, len(row), 0, 0, len(palette) // 4, 0
    )
    return struct.pack("<2sIHHI", b"BM", offset + len(row), 0, 0, offset) + about + palette + row


def _tiff(bits: int, samples: int, row: bytes, **tags: int) -> bytes:
    """A tif of one row; `tags` are those that a writer may add, as `t274=6`."""
    numbers = {256: len(row) * 8 // (bits * samples), 257: 1, 259: 1, 262: 2 if samples > 2 else 1}
    numbers |= {277: samples, 278: 1, 279: len(row)} | {int(k[1:]): v for k, v in tags.items()}
    after = 8 + 2 + 12 * (len(numbers) + 2) + 4
    several = struct.pack(f"<{samples}H", *[bits] * samples) if samples > 1 else b""
    entries = [(tag, 3, 1, value) for tag, value in numbers.items()]
    entries += [(258, 3, samples, after if several else bits), (273, 4, 1, after + len(several))]
    table = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    start = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return start + table + bytes(4) + several + row


def _saved(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _write(folder: Path, content: bytes) -> Path:
    path = folder / "image"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_eight_bits_a_channel_are_read_exactly(kind: str, tmp_path: Path) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    colour = read_pixels(_write(tmp_path, _saved(NOISE, kind, **options)), "x")
    assert (colour.mode, colour.size) == ("RGB", (7, 9))
    np.testing.assert_array_equal(colour.levels, NOISE.transpose(2, 0, 1))
    if kind != "WEBP":  # it has no grey
        grey = read_pixels(_write(tmp_path, _saved(NOISE[..., 0], kind)), "x")
        np.testing.assert_array_equal(grey.levels, NOISE[None, ..., 0])


@pytest.mark.parametrize(
    ("content", "levels"),
    [
        (_png(8, 0, bytes([7, 9])), [7, 9]),
        (_png(1, 0, b"\xb0"), [1, 0, 1, 1, 0, 0, 0, 0]),
        (b"P5 2 1 255\n\x03\x0f", [3, 15]),
        (b"P5 # so\n2 1 # so\n255\n\x0a\x23", [10, 35]),
        (b"P2 2 1 255\n3 15\n", [3, 15]),
        (b"P6 1 1 255\n123", [49, 50, 51]),
        (b"P4 8 1\n\xf0", [0, 0, 0, 0, 1, 1, 1, 1]),
        (_bmp(24, bytes([3, 2, 1, 0])), [1, 2, 3]),
        (_tiff(8, 1, bytes([7, 9])), [7, 9]),
        (_tiff(8, 3, bytes([7, 9, 11])), [7, 9, 11]),
        (_tiff(1, 1, b"\xa0"), [1, 0, 1, 0, 0, 0, 0, 0]),
    ],
)
def test_what_is_stored_is_what_is_read(content: bytes, levels: list[int], tmp_path: Path) -> None:
    found = read_pixels(_write(tmp_path, content), "x").levels
    assert found.dtype == np.uint8
    assert found.ravel().tolist() == levels


ALPHA = _chunk(b"tRNS", struct.pack(">H", 1))
COLOUR_KEY = _chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
OTHERWISE = {
    "png-rgb-16": (_png(16, 2, bytes(range(12))), "16 bits a channel in mode RGB, expected 8"),
    "png-grey-16": (_png(16, 0, bytes([0xC0, 0x34])), "mode I;16, expected one of 1, L, RGB"),
    "png-grey-2": (_png(2, 0, b"\x1b"), "2 bits a channel in mode L, expected 8"),
    "png-grey-4": (_png(4, 0, b"\x1f"), "4 bits a channel in mode L, expected 8"),
    "png-grey-alpha": (_png(8, 4, bytes([1, 2])), "mode LA"),
    "png-grey-alpha-16": (_png(16, 4, bytes(4)), "mode RGBA"),
    "png-rgb-alpha": (_png(8, 6, bytes(4)), "mode RGBA"),
    "png-grey-key": (_png(8, 0, bytes([1, 2]), ALPHA), "mode L with a transparent colour"),
    "png-bit-key": (_png(1, 0, b"\xf0", ALPHA), "mode 1 with a transparent colour"),
    "png-rgb-key": (_png(8, 2, bytes(6), COLOUR_KEY), "mode RGB with a transparent colour"),
    "pgm-15": (b"P5 2 1 15\n\x03\x0f", "highest value of 15, expected 255"),
    "pgm-1": (b"P5 2 1 1\n\x00\x01", "highest value of 1, expected 255"),
    "pgm-65535": (b"P5 1 1 65535\n\x01\x02", "highest value of 65535, expected 255"),
    "plain-pgm-15": (b"P2 2 1 15\n3 15\n", "highest value of 15, expected 255"),
    "ppm-15": (b"P6 1 1 15\n\x01\x02\x03", "highest value of 15, expected 255"),
    "ppm-65535": (b"P6 1 1 65535\nabcdef", "highest value of 65535, expected 255"),
    "two-pgms": (b"P5 1 1 255\naP5 1 1 255\nb", "13 bytes of pixels, expected 1"),
    "pgm-cut": (b"P5 2 1 255\n\x03", "truncated"),
    "bmp-16": (_bmp(16, b"\xff\x7f\x21\x04"), "16 bits a pixel in mode RGB, expected 24"),
    "bmp-32": (_bmp(32, bytes(8)), "32 bits a pixel in mode RGB, expected 24"),
    "bmp-two-colours": (
        _bmp(8, bytes([0, 1, 0, 1]), bytes(4) + b"\xff\xff\xff\0"),
        "8 bits a pixel in mode 1, expected 1",
    ),
    "tif-rgb-16": (_tiff(16, 3, bytes(range(6))), "16 bits a channel in mode RGB, expected 8"),
    "tif-grey-4": (_tiff(4, 1, b"\x1f"), "4 bits a channel in mode L, expected 8"),
    "tif-signed": (_tiff(8, 1, bytes([1, 200]), t339=2), "of unsigned numbers"),
    "tif-turned": (_tiff(8, 1, bytes([1, 2]), t274=6), "orientation 6, expected 1 (upright)"),
    "tif-spare-channel": (_tiff(8, 4, bytes(4), t338=0), "4 samples a pixel"),
    "gif-palette": (_saved(NOISE, "GIF"), "mode P"),
    "ico": (_saved(NOISE, "ICO"), "expected an image, of the kinds PNG"),
    "nothing": (b"", "expected an image"),
    "text": (b"hello", "expected an image"),
}


@pytest.mark.parametrize("case", OTHERWISE)
def test_what_would_be_read_otherwise_is_refused(case: str, tmp_path: Path) -> None:
    content, message = OTHERWISE[case]
    with pytest.raises(DataError) as caught:
        read_pixels(_write(tmp_path, content), "some/image")
    assert str(caught.value).startswith("some/image: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)  # no address of an object


@given(position=st.integers(0, 1 << 20), cut=st.booleans(), bit=st.integers(0, 7))
@settings(max_examples=80, deadline=None)
def test_a_png_is_read_whole_or_refused(
    position: int, cut: bool, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also where its last chunks alone are gone, or a chunk that Pillow skips is damaged."""
    content = bytearray(_saved(NOISE, "PNG"))
    position %= len(content)
    if cut:
        del content[position:]
    else:
        content[position] ^= 1 << bit
    path = _write(tmp_path_factory.getbasetemp(), bytes(content))
    with pytest.raises(DataError, match="x: expected an image"):
        read_pixels(path, "x")


def test_a_name_that_is_no_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "0.png").symlink_to("/dev/null")
    with pytest.raises(DataError, match="found no file that can be read"):
        ImagesTask(str(tmp_path))
    with pytest.raises(DataError, match="found no file that can be read"):
        read_pixels(tmp_path, "x")


# An image to complete

GREY, COLOURS = EventSpec((1, 1, 2), Discrete(2)), EventSpec((3, 9, 7), Discrete(256))


def test_an_image_to_complete_is_taken_as_it_is(tmp_path: Path) -> None:
    grey = _write(tmp_path, _png(8, 0, bytes([127, 128])))
    assert read_image(grey, GREY).ravel().tolist() == [0, 1]
    assert read_image(grey, EventSpec((1, 1, 2), Discrete(256))).ravel().tolist() == [127, 128]
    bits = _write(tmp_path, b"P1 2 1\n0 1\n")
    assert read_image(bits, GREY).ravel().tolist() == [1, 0]  # 1 is black there
    colour = read_image(_write(tmp_path, _saved(NOISE, "PNG")), COLOURS)
    np.testing.assert_array_equal(colour.numpy(), NOISE.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("content", "spec", "message"),
    [
        (_png(16, 0, bytes([0xC0, 0, 0xC0, 0])), GREY, "mode I;16"),
        (_png(8, 6, bytes([192, 192, 192, 255] * 2)), GREY, "mode RGBA"),
        (_png(8, 4, bytes([192, 255] * 2)), GREY, "mode LA"),
        (_png(8, 2, bytes(6)), GREY, "mode RGB, expected L or 1"),
        (_saved(NOISE[..., 0], "PNG"), COLOURS, "mode L, expected RGB"),
        (_png(8, 0, bytes(3)), GREY, "3x1 pixels, expected 2x1"),
    ],
)
def test_an_image_to_complete_is_never_converted(
    content: bytes, spec: EventSpec, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        read_image(_write(tmp_path, content), spec)
    assert message in str(caught.value)
