"""The pictures that measurements leave in a run folder: which of those in a record are there.

A record may come from anywhere. A path in it counts only if it can be one of a picture, and only a
file of the folder itself is a picture: nothing that a link leads to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "measurements"  # within a run folder, for what measurements leave there
PICTURE = re.compile(rf"{FOLDER}/[a-z0-9][a-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*\.(png|svg)")
MOST_BYTES = 4 << 20  # of one of them
_MOST_PICTURES = 64  # of a run


def named_pictures(sections: Mapping[str, Any]) -> dict[str, list[str]]:
    """The paths that a record names, relative to the run folder, by the keys of results.

    Args:
        sections: `measurements` of a record, as JSON has them; nothing needs to be checked yet.
    """
    found: dict[str, list[str]] = {}
    num_left = _MOST_PICTURES
    for key, section in sections.items():
        named = section.get("pictures") if isinstance(section, dict) else None
        names = [name for name in named if _can_be_one(name)] if isinstance(named, list) else []
        if names := names[:num_left]:
            found[key] = names
            num_left -= len(names)
    return found


def _can_be_one(name: object) -> bool:
    return isinstance(name, str) and PICTURE.fullmatch(name) is not None


def pictures_of(run: Path, sections: Mapping[str, Any]) -> dict[str, list[Path]]:
    """The files of `named_pictures` that are in a run folder."""
    home = run.resolve()
    found = {
        key: [run / name for name in names if _is_own(home, name)]
        for key, names in named_pictures(sections).items()
    }
    return {key: files for key, files in found.items() if files}


def _is_own(home: Path, name: str) -> bool:
    file = home / name
    return file.resolve() == file and file.is_file() and file.stat().st_size <= MOST_BYTES


def shown_of(files: list[Path]) -> list[Path]:
    """Of a chart that is there as PNG and as SVG, the PNG alone."""
    return [f for f in files if f.suffix == ".png" or f.with_suffix(".png") not in files]
