"""Folders of files: which part of the data each is in; and images, read with Pillow."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from PIL import Image

from arbench.errors import DataError
from arbench.experiment.tasks import SPLITS
from arbench_files.splits import Array, PartName, check_parts

EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm"}
)
MODES = ("1", "L", "RGB")


def read_folder(folder: Path) -> dict[PartName, Array]:
    """Images `(N, C, H, W)`, uint8, of each part, ordered by their path within the folder.

    Subfolders named after splits are splits; any other subfolder (a class, say) is only looked
    into. Files whose names start with a dot are left out. Pixels are taken as stored: a palette is
    not looked up, a rotation noted in the file is not applied.

    Raises:
        DataError: if a file is not an image or not one like the first.
    """
    roots = part_roots(folder)
    first: tuple[str, str, tuple[int, int]] | None = None
    parts: dict[PartName, Array] = {}
    for part, root in roots.items():
        images = []
        for index, file in enumerate(files_under(root, EXTENSIONS, "image")):
            name = file.relative_to(folder).as_posix()
            pixels, mode, size = _read_image(file, f"{folder}: image {index} ({name})")
            first = first or (name, mode, size)
            if (mode, size) != first[1:]:
                raise DataError(
                    f"{folder}: image {index} ({name}): found {_describe(mode, size)}, expected "
                    f"{_describe(*first[1:])} as in {first[0]}"
                )
            images.append(pixels)
        parts[part] = np.stack(images)
    return parts


def part_roots(folder: Path) -> dict[PartName, Path]:
    """Where each part lies: in subfolders named after splits, or undivided in the folder itself.

    Raises:
        DataError: if something lies beside the folders of splits, or a split is missing.
    """
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    stated = [entry for entry in entries if entry.is_dir() and entry.name in SPLITS]
    if stated and len(stated) < len(entries):
        other = min(entry.name for entry in entries if entry not in stated)
        raise DataError(
            f"{folder}: found {other!r} beside {stated[0].name!r}, expected nothing but the "
            "folders train, validation and test"
        )
    roots: dict[PartName, Path] = {
        split: folder / split for split in SPLITS if folder / split in stated
    }
    if not roots:
        roots = {"all": folder}
    check_parts(roots, folder)
    return roots


def _describe(mode: str, size: tuple[int, int]) -> str:
    return f"mode {mode}, {size[0]}x{size[1]}"


def files_under(root: Path, extensions: Collection[str], kind: str) -> list[Path]:
    """All files of a folder, in the order of their paths; names that start with a dot are left out.

    Args:
        root: looked into with all its subfolders.
        extensions: those that are known, in lower case.
        kind: what such files are, for messages.

    Raises:
        DataError: if a file has another extension, or there is none.
    """
    files = []
    for path in root.rglob("*"):
        if path.is_dir() or any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if path.suffix.lower() not in extensions:
            raise DataError(
                f"{path}: found the extension {path.suffix!r}, expected {kind} files only "
                f"({' '.join(sorted(extensions))})"
            )
        files.append(path)
    if not files:
        raise DataError(f"{root}: found no files, expected {kind} files")
    return sorted(files, key=lambda path: path.relative_to(root).as_posix())


def _read_image(file: Path, place: str) -> tuple[Array, str, tuple[int, int]]:
    """Pixels `(C, H, W)`, uint8, with Pillow's mode and its size (width, height)."""
    try:
        with Image.open(file) as image:
            num_frames = getattr(image, "n_frames", 1)
            mode, size = image.mode, image.size
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{place}: expected an image, Pillow says: {error}") from error
    if num_frames != 1:
        raise DataError(f"{place}: found {num_frames} frames, expected one")
    if mode not in MODES:
        raise DataError(
            f"{place}: found mode {mode}, expected one of {', '.join(MODES)}; "
            "convert it yourself, so that nothing is lost unnoticed"
        )
    channels_last = pixels.reshape(size[1], size[0], -1).astype(np.uint8)
    return channels_last.transpose(2, 0, 1), mode, size
