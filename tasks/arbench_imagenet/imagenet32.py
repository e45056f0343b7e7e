"""ImageNet at 32x32, as PixelRNN and its successors report it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from arbench import (
    DataError,
    Discrete,
    EventSpec,
    NetworkError,
    SourceFile,
    Split,
    SplitName,
    Task,
    atomic_path,
    cache_dir,
    fetch,
    read_members,
    read_npz,
    writing_cache,
)

NUM_VALIDATION = 10_000  # the last of the training images, in the order of their names
TRAIN = SourceFile(
    path="imagenet32/train_32x32.tar",
    urls=("http://image-net.org/small/train_32x32.tar",),
    sha256="244a323d48f8d72f65ad8b54658c01fed68d2d7bdc77ccb43da58c11e94224e5",
    size=4_113_018_880,
)
TEST = SourceFile(
    path="imagenet32/valid_32x32.tar",
    urls=("http://image-net.org/small/valid_32x32.tar",),
    sha256="862e559462b24cf736212a19f6b0d47b55c2dc8ebdaa95ccecfe71260124c8f7",
    size=161_474_560,
)
_MEMBER = re.compile(r"(\./)?(?:train|valid)_32x32/(?P<name>[\w.-]+\.png)")


class ImageNet32(Task):
    """Photographs `(3, 32, 32)`, 256 levels, downsampled by van den Oord et al.

    Two data sets are called ImageNet 32x32. PixelRNN and most published likelihoods use this one.
    The other, by Chrabaszcz et al. (2017), is smoother, costs fewer bits and is not comparable.
    Test is what the authors call validation. Validation is the end of their train images.

    Source: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel recurrent neural networks", ICML
        2016, section 5.1.
    """

    name = "imagenet32"
    version = "1"
    spec = EventSpec((3, 32, 32), Discrete(256))
    unit = "dim"
    source = "ImageNet 32x32 (van den Oord et al. 2016), " + TRAIN.urls[0]
    files = (TRAIN, TEST)

    def load(self, split: SplitName) -> Split:
        """The events `(N, 3, 32, 32)` of a split, uint8, in the order of their files' names.

        The pixels of an archive are decoded once and kept in the cache.

        Raises:
            DataError: if an archive is damaged, not the published one, or has a picture of another
                size.
            NetworkError: if it is not on this machine; says where to sign in for it, because the
                server has taken it down.
        """
        images = self._images(self.files[1 if split == "test" else 0])
        if split != "test":
            cut = len(images) - min(NUM_VALIDATION, len(images) // 2)
            images = images[:cut] if split == "train" else images[cut:]
        return Split(torch.from_numpy(images))

    def _images(self, archive: SourceFile) -> NDArray[np.uint8]:
        kept = cache_dir() / f"{archive.path}-{self.version}.npz"
        if not kept.is_file():
            try:
                place = fetch(archive)
            except NetworkError as error:
                raise NetworkError(
                    f"{error}. The server no longer offers these files to everyone: sign in at "
                    "https://image-net.org/download-images, take 'Train (32x32)' and 'Val (32x32)' "
                    "of the downsampled images for density estimation (not the npz of Chrabaszcz "
                    "et al.), and put the two tar files into a folder imagenet32/ there"
                ) from error
            images = _decode(place)
            with (
                writing_cache(kept.parent),
                atomic_path(kept) as temporary,
                open(temporary, "wb") as file,
            ):
                np.savez(file, images=images)
        # Made from an archive with the right sha256; zip's CRC-32 finds later damage.
        return read_npz(kept, ["images"])["images"]


def _decode(archive: Path) -> NDArray[np.uint8]:
    """All pictures of an archive, `(N, 3, 32, 32)`, by name."""
    from PIL import Image

    pictures: dict[str, NDArray[np.uint8]] = {}
    for name, content in read_members(archive, _MEMBER):
        try:
            with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
                if picture.size != (32, 32):
                    raise DataError(f"{archive}: {name} is {picture.size}, expected 32x32")
                pixels = np.asarray(picture.convert("RGB"), dtype=np.uint8)
        except OSError as error:
            raise DataError(f"{archive}: {name} is no PNG ({error})") from error
        pictures[name] = pixels.transpose(2, 0, 1)
    if not pictures:
        raise DataError(f"{archive}: holds no pictures, expected those of ImageNet 32x32")
    return np.stack([pictures[name] for name in sorted(pictures)])
