"""The eight data sets: one class reads them, and each has a subclass with its file."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from arbench import (
    DataError,
    Discrete,
    EventSpec,
    SourceFile,
    Split,
    SplitName,
    Task,
    fetch,
    read_npz,
)

_REPOSITORY = "https://github.com/mgermain/MADE"
_KEYS: dict[SplitName, str] = {
    "train": "train_data",
    "validation": "valid_data",
    "test": "test_data",
}


class BinarySet(Task):
    """Rows `(D,)` of zeros and ones, read from `uci/<name>.npz`.

    A subclass states name, dims and file. Without a sha256, its task is not pinned.

    Source: Larochelle and Murray, "The neural autoregressive distribution estimator", AISTATS
        2011, section 6.1; files by Germain et al., "MADE", ICML 2015.
    """

    version = "1"

    def __init_subclass__(
        cls, *, name: str, num_dims: int, sha256: str | None = None, size: int | None = None
    ) -> None:
        """Set the name, the number of dims and the file of the data set."""
        stem = name.replace("-", "_")
        released = f"{_REPOSITORY}/releases/download/ICML2015/{stem}.npz"
        committed = f"{_REPOSITORY}/raw/master/datasets/{stem}.npz"
        cls.name = f"uci-{name}"
        cls.spec = EventSpec((num_dims,), Discrete(2))
        file = SourceFile(
            path=f"uci/{stem}.npz",
            urls=(released,) if name == "rcv1" else (committed,),
            sha256=sha256,
            size=size,
        )
        cls.files = (file,)
        cls.source = f"the NADE and MADE papers' binary sets, {file.urls[0]}"
        cls.pinned = sha256 is not None
        if not cls.pinned:
            cls.shared_events = None  # nobody has counted them

    def load(self, split: SplitName) -> Split:
        """The events `(N, D)` of a split, uint8; the file holds them as float32 zeros and ones."""
        path = fetch(self.files[0])
        key = _KEYS[split]
        rows = read_npz(path, [key])[key]
        try:
            events = torch.from_numpy(np.ascontiguousarray(rows))
            self.spec.validate(events)
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}: {key!r}: {error}") from error
        return Split(events.to(torch.uint8))


class Adult(BinarySet, name="adult", num_dims=123):
    """Census records, one-hot."""


class Connect4(BinarySet, name="connect4", num_dims=126):
    """Positions of the game Connect Four, one-hot."""


class Dna(
    BinarySet,
    name="dna",
    num_dims=180,
    sha256="df2d2e7ce1469edfead15e41024e108d64f1b4633cfecfc40ef7107cc22c895c",
    size=2295252,
):
    """Splice junctions: 60 bases of three bits each; not the split of `density-dna`."""

    shared_events: ClassVar = {
        ("validation", "train"): 31,
        ("test", "train"): 62,
        ("test", "validation"): 33,
    }


class Mushrooms(
    BinarySet,
    name="mushrooms",
    num_dims=112,
    sha256="4130f1defa3033911fe746a3ab1bb22b0c812bb29e68391a0fbc2d65bab6ae74",
    size=3640884,
):
    """Descriptions of mushrooms, one-hot."""


class Nips(
    BinarySet,
    name="nips",
    num_dims=500,
    sha256="dbf3b659a49670957c0851971bd51ff952a657f010581d12f6c1e2dca8907b20",
    size=3481332,
):
    """Which of 500 words each paper of NIPS 0-12 uses."""


class OcrLetters(BinarySet, name="ocr-letters", num_dims=128):
    """Handwritten letters of 16x8 pixels."""


class Rcv1(BinarySet, name="rcv1", num_dims=150):
    """Which of 150 words each Reuters story uses."""


class Web(BinarySet, name="web", num_dims=300):
    """Which of 300 words each web page uses."""
