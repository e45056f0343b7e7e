"""Folders of files: which part of the data each file is in."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

import numpy as np

from arbench import IMAGE_EXTENSIONS, SPLITS, DataError, Pixels, read_pixels
from arbench_files.division import Array, PartName, check_parts

# These names mean a split; they must not be taken for a class of images.
_NEARLY_SPLITS = re.compile(r"train(ing)?|val(id(ation)?)?|dev|test(ing)?|eval", re.IGNORECASE)


def read_folder(folder: Path) -> dict[PartName, Array]:
    """Images `(N, C, H, W)`, uint8, of each part, ordered by their path within the folder.

    Subfolders named after splits are splits. The names of other subfolders, such as classes, mean
    nothing. Files whose names start with a dot are skipped.

    Raises:
        DataError: if a file is not an image, differs from the first in size or mode, or cannot be
            read exactly.
    """
    first: tuple[str, Pixels] | None = None
    parts: dict[PartName, Array] = {}
    for part, root in part_roots(folder).items():
        images = []
        for index, file in enumerate(files_under(root, IMAGE_EXTENSIONS, "image")):
            name = file.relative_to(folder).as_posix()
            place = f"{folder}: image {index} ({name})"
            image = read_pixels(file, place)
            first = first or (name, image)
            if (image.mode, image.size) != (first[1].mode, first[1].size):
                raise DataError(
                    f"{place}: found {_describe(image)}, expected {_describe(first[1])} as in "
                    f"{first[0]}"
                )
            images.append(image.levels)
        parts[part] = np.stack(images)
    return parts


def part_roots(folder: Path) -> dict[PartName, Path]:
    """The folder of each part: subfolders named after splits, or the folder itself, undivided.

    Raises:
        DataError: if there is anything beside the folders of splits, a split is missing, or the
            name of a folder only resembles a split.
    """
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        _refuse(error)
    stated = [entry for entry in entries if entry.is_dir() and entry.name in SPLITS]
    if stated and len(stated) < len(entries):
        other = min(entry.name for entry in entries if entry not in stated)
        raise DataError(
            f"{folder}: found {other!r} beside {stated[0].name!r}, expected nothing but the "
            "folders train, validation and test"
        )
    for entry in sorted(entries):
        if entry not in stated and entry.is_dir() and _NEARLY_SPLITS.fullmatch(entry.name):
            raise DataError(
                f"{folder}: found the folder {entry.name!r}, which may or may not be a split; "
                "expected train, validation and test for splits, and other names for the rest"
            )
    roots: dict[PartName, Path] = {
        split: folder / split for split in SPLITS if folder / split in stated
    }
    if not roots:
        roots = {"all": folder}
    check_parts(roots, folder)
    return roots


def files_under(root: Path, extensions: Collection[str], kind: str) -> list[Path]:
    """All files of a folder and its subfolders, in the order of their paths.

    Names that start with a dot are skipped.

    Args:
        root: the folder.
        extensions: known extensions, in lower case.
        kind: the kind of such files, for messages.

    Raises:
        DataError: if there are no files, a file has another extension or cannot be read as a file,
            or a subfolder cannot be read or is a symbolic link.
    """
    files = []
    for folder, subfolders, names in os.walk(root, onerror=_refuse):
        # `os.walk` skips what is removed here.
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in subfolders:
            if (path := Path(folder, name)).is_symlink():
                raise DataError(
                    f"{path}: found a symbolic link to a folder, which arbench does not follow, "
                    "because it may lead in a circle; put the folder itself there"
                )
        for name in names:
            path = Path(folder, name)
            if name.startswith("."):
                continue
            if path.suffix.lower() not in extensions:
                raise DataError(
                    f"{path}: found the extension {path.suffix!r}, expected {kind} files only "
                    f"({' '.join(sorted(extensions))})"
                )
            if not path.is_file():
                raise DataError(f"{path}: found no file that can be read, expected {kind} files")
            files.append(path)
    if not files:
        raise DataError(f"{root}: found no files, expected {kind} files")
    return sorted(files, key=lambda path: path.relative_to(root).as_posix())


def _refuse(error: OSError) -> NoReturn:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _describe(image: Pixels) -> str:
    return f"mode {image.mode}, {image.size[0]}x{image.size[1]}"
