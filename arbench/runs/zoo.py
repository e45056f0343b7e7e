"""The zoo: names such as `mnist/nade`, and the files that each is pinned to.

A run is named by its folder, by its place in the zoo ("mnist/nade"), or by a repository on the Hub
("hf:org/name@revision"). The index says what every file of a zoo entry hashes to, so that it is the
same run wherever it comes from: the package, the cache or the Hub.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from arbench.errors import CheckpointError
from arbench.files.atomic import sha256_of
from arbench.files.strict_json import read_json

INDEX, WEIGHTS = "index.json", "model.safetensors"


@dataclass(frozen=True)
class PinnedFile:
    """What a file must be."""

    sha256: str
    size: int

    def __post_init__(self) -> None:
        if not isinstance(self.sha256, str) or not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"expected a sha256, got {self.sha256!r}")
        if type(self.size) is not int or self.size < 0:
            raise ValueError(f"expected a number of bytes, got {self.size!r}")


@dataclass(frozen=True)
class ZooEntry:
    """One trained run of the zoo.

    Attributes:
        name: "task/model".
        repo: where it is on the Hub, "org/name"; None if it is nowhere but in the package.
        commit: the commit there that holds exactly these files.
        files: every file of the run but its card.
        unit: what a dim is called.
        num_parameters: of the model.
        test: the record's likelihood of the test split.
    """

    name: str
    repo: str | None
    commit: str | None
    files: Mapping[str, PinnedFile]
    unit: str
    num_parameters: int
    test: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())

    @property
    def bundled(self) -> Path | None:
        """The entry's folder in the package, if it ships with it."""
        folder = zoo_folder() / self.name
        return folder if folder.is_dir() else None


def zoo_folder() -> Path:
    """The folder of the zoo entries that come with the package."""
    return Path(str(resources.files("arbench.zoo")))


@functools.cache
def zoo_index() -> Mapping[str, ZooEntry]:
    """Every zoo entry by its name."""
    return read_index(zoo_folder() / INDEX)


def bundled_name(weights: str) -> str | None:
    """The name of the zoo entry in the package whose weights have this sha256; None if none has."""
    return next(
        (
            name
            for name, entry in zoo_index().items()
            if entry.bundled is not None and entry.files[WEIGHTS].sha256 == weights
        ),
        None,
    )


def read_index(path: Path) -> Mapping[str, ZooEntry]:
    """The entries in an index file, `scripts/index_zoo.py`'s.

    Raises:
        CheckpointError: if it is missing or damaged.
    """
    entries = read_json(path, CheckpointError, "is missing; install arbench again")
    try:
        return {
            name: ZooEntry(name=name, **{**entry, "files": read_pins(entry["files"])})
            for name, entry in sorted(entries.items())
        }
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: no index of a zoo ({error}); install arbench again") from (
            error
        )


def read_pins(pins: Mapping[str, Any]) -> dict[str, PinnedFile]:
    """What files must be, by name, as JSON has it.

    Raises:
        ValueError, TypeError, AttributeError: if it is anything else.
    """
    return {name: PinnedFile(**pin) for name, pin in pins.items()}


def check_files(folder: Path, files: Mapping[str, PinnedFile]) -> None:
    """Hold the files of a run against what they must be.

    Raises:
        CheckpointError: at the first that is missing, a link, or another.
    """
    for name, pin in files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            problem = "is no file"
        elif (size := path.stat().st_size) != pin.size:
            problem = f"has {size:,} bytes, expected {pin.size:,}"
        elif (found := sha256_of(path)) != pin.sha256:
            problem = f"has sha256 {found}, expected {pin.sha256}"
        else:
            continue
        raise CheckpointError(f"{path}: {problem}; remove {folder} and fetch or install it again")
