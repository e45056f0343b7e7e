"""Caltech-101 Silhouettes, 28x28, split 1, with its orientation and polarity stated."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from scipy.io import loadmat

from arbench import DataError, Discrete, EventSpec, SourceFile, Split, SplitName, Task, fetch

SIDE = 28
FILE = SourceFile(
    path="caltech101_silhouettes_28_split1.mat",
    urls=(
        "https://people.cs.umass.edu/~marlin/data/caltech101_silhouettes_28_split1.mat",
        "http://people.cs.umass.edu/~marlin/data/caltech101_silhouettes_28_split1.mat",
    ),
    sha256="eb6735e8d84b1850fabc5590124aab1755e90c9fd28123585324398405e1e42a",
    size=872124,
)
_KEYS: dict[SplitName, str] = {
    "train": "train_data",
    "validation": "val_data",
    "test": "test_data",
}


class CaltechSilhouettes(Task):
    """Filled outlines of objects, `(1, 28, 28)`, rows from top to bottom, object 1, background 0.

    Both choices change the result of an autoregressive model. The file stores each picture column
    by column, with the object as 0. Only this class transposes and inverts it.

    Source: Marlin, Swersky, Chen and de Freitas, "Inductive principles for restricted Boltzmann
        machine learning", AISTATS 2010.
    """

    name = "caltech-silhouettes"
    shared_events: ClassVar = {
        ("validation", "train"): 9,
        ("test", "train"): 11,
        ("test", "validation"): 9,
    }
    version = "1"
    spec = EventSpec((1, SIDE, SIDE), Discrete(2))
    unit = "pixel"
    source = "Caltech-101 Silhouettes (Marlin et al. 2010), 28x28, split 1, " + FILE.urls[0]
    files = (FILE,)

    def load(self, split: SplitName) -> Split:
        """The events `(N, 1, 28, 28)` of a split, uint8."""
        path = fetch(FILE)
        key = _KEYS[split]
        try:
            stored = loadmat(path, variable_names=[key])[key]
        except (ValueError, KeyError, NotImplementedError) as error:
            raise DataError(f"{path}: cannot read {key!r} from it ({error})") from error
        columns_first = stored.reshape(-1, SIDE, SIDE)
        pictures = np.ascontiguousarray(1 - columns_first.transpose(0, 2, 1))
        return Split(torch.from_numpy(pictures).unsqueeze(1))
