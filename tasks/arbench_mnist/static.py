"""Salakhutdinov and Murray's fixed binarised MNIST, rebuilt from the raw digits."""

from __future__ import annotations

import functools
import hashlib
import logging

import numpy as np
import torch
from numpy.typing import NDArray

from arbench import (
    SPLITS,
    ArbenchError,
    DataError,
    Discrete,
    EventSpec,
    Labels,
    Split,
    SplitName,
    Task,
    atomic_path,
    cache_dir,
    writing_cache,
)
from arbench_mnist.matlab import uniforms
from arbench_mnist.raw import (
    FILES,
    NUM_PIXELS,
    SIDE,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    digits,
    grey_levels,
    labelled,
)

# Of the published files binarized_mnist_{train,valid,test}.amat.
TEXT_SHA256: dict[SplitName, str] = {
    "train": "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
    "validation": "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
    "test": "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
}
# Of those bits, eight to a byte, the three splits one after the other.
PACKED_SHA256 = "c462f82a020638a4d5d8d44e4c83242ee0145ee1d125869d0e030c35011837e6"
PERMUTATION_STATE = 0
PIXEL_STATE = 30
BATCH_ROWS = 100
_GROUPS = 8  # runs of pixels drawn side by side: wide vectors make few and cheap steps
_ROWS: dict[SplitName, slice] = {
    "train": slice(0, 50_000),
    "validation": slice(50_000, 60_000),
    "test": slice(60_000, 70_000),
}


class StaticMNIST(Task):
    """Digits `(1, 28, 28)`, binary: the very bits that NADE, MADE and many others report on.

    The files were one random draw, thought to be lost without its files; this makes the draw again,
    and accepts it only if the text form has the published sha256 of all three files. It is made
    once, and kept bit-packed in the cache where that can be written.

    Source: Salakhutdinov and Murray, "On the quantitative analysis of deep belief networks", ICML
        2008; files binarized_mnist_{train,valid,test}.amat by Larochelle.
    """

    name = "mnist-static"
    version = "1"
    spec = EventSpec((1, SIDE, SIDE), Discrete(2))
    unit = "pixel"
    draws_pixels = True
    hub_datasets = ("ylecun/mnist",)
    source = (
        "Binarised MNIST (Salakhutdinov and Murray 2008; files by Larochelle, "
        "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/), rebuilt from MNIST"
    )
    files = FILES

    def load(self, split: SplitName) -> Split:
        """The events `(N, 1, 28, 28)` of a split, uint8.

        Raises:
            DataError: if a raw file is damaged.
            NetworkError: if it is nowhere and cannot be downloaded.
        """
        pixels = np.unpackbits(self._packed[_ROWS[split]], axis=1)
        return Split(torch.from_numpy(pixels).reshape(-1, *self.spec.shape))

    def load_labels(self, split: SplitName) -> Labels:
        """The digits: the draw shuffles them, or sorts them, with the pictures.

        Raises:
            DataError: if a raw file is damaged.
            NetworkError: if it is nowhere and cannot be downloaded.
        """
        if split == "test":
            return labelled(np.sort(digits(TEST_LABELS)))
        classes = np.sort(digits(TRAIN_LABELS))
        return labelled(classes[_shuffle(len(classes))][_ROWS[split]])

    @functools.cached_property
    def _packed(self) -> NDArray[np.uint8]:
        """All rows `(70000, 98)`, from the cache if they are there and whole, else made again."""
        path = cache_dir() / "mnist-static.bits"
        if path.is_file() and hashlib.sha256(stored := path.read_bytes()).digest().hex() == (
            PACKED_SHA256
        ):
            return np.frombuffer(stored, np.uint8).reshape(-1, NUM_PIXELS // 8)
        packed = np.packbits(rebuilt(), axis=1)
        try:
            with writing_cache(path.parent), atomic_path(path) as temporary:
                temporary.write_bytes(packed.tobytes())
        except ArbenchError as error:
            logging.getLogger(__name__).warning(
                "mnist-static will be made again next time: %s", error
            )
        return packed


def rebuilt() -> NDArray[np.uint8]:
    """The bits `(70000, 784)`: train, validation and test, made from the raw files.

    Raises:
        DataError: if a raw file is damaged, or the text form differs from the published files.
        NetworkError: if a raw file is nowhere and cannot be downloaded.
    """
    train = _by_class(grey_levels(TRAIN_IMAGES), digits(TRAIN_LABELS))
    test = _by_class(grey_levels(TEST_IMAGES), digits(TEST_LABELS))
    bits = np.concatenate([_drawn(train[_shuffle(len(train))]), _drawn(test)])
    for split in SPLITS:
        found = text_sha256(bits[_ROWS[split]])
        if found != TEXT_SHA256[split]:
            raise DataError(
                f"the rebuilt {split} split of mnist-static has sha256 {found} as text, expected "
                f"{TEXT_SHA256[split]}: please report this with your numpy version and processor"
            )
    return bits


def text_sha256(bits: NDArray[np.uint8]) -> str:
    """The sha256 of rows `(N, 784)` as text: 0 or 1, a space between, a line feed after a row."""
    digest = hashlib.sha256()
    for rows in np.array_split(bits, max(1, len(bits) // 1000)):
        text = np.full((len(rows), 2 * NUM_PIXELS), ord(" "), np.uint8)
        text[:, ::2] = rows + ord("0")
        text[:, -1] = ord("\n")
        digest.update(text.tobytes())
    return digest.hexdigest()


def _by_class(grey: NDArray[np.uint8], classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return grey[np.argsort(classes, kind="stable")]


def _shuffle(num_rows: int) -> NDArray[np.int64]:
    """Where each train row comes from, `(num_rows,)`, once they are sorted by class."""
    draws = np.array(list(uniforms(PERMUTATION_STATE, num_lanes=100, per_lane=num_rows // 100)))
    return np.argsort(draws.T.ravel(), kind="stable")


def _drawn(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bits `(N, 784)` for grey levels `(N, 784)`, the generator started afresh.

    In batches of 100 rows, each pixel in turn takes one draw for each row of the batch. A lane is
    a run of 98 pixels of one batch.
    """
    run = NUM_PIXELS // _GROUPS
    batches = grey.reshape(-1, BATCH_ROWS, _GROUPS, run)
    num_batches = len(batches)
    levels = batches.transpose(3, 1, 0, 2).reshape(run * BATCH_ROWS, num_batches * _GROUPS)
    bits = np.empty_like(levels)
    intensity = np.arange(256) / 255
    draws = uniforms(PIXEL_STATE, num_lanes=num_batches * _GROUPS, per_lane=run * BATCH_ROWS)
    for t, uniform in enumerate(draws):
        bits[t] = intensity[levels[t]] > uniform
    in_order = bits.reshape(run, BATCH_ROWS, num_batches, _GROUPS).transpose(2, 1, 3, 0)
    return in_order.reshape(-1, NUM_PIXELS)
