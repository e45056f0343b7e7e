"""What general compressors make of the same test events; shown beside results, never ranked."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib import resources

from arbench.probability.bits import in_nats

FILE = "compressors.tsv"
COLUMNS = ("task", "data_sha256", "num_dims", "compressor", "num_bytes", "about")


@dataclass(frozen=True)
class CompressedTest:
    """One row of `leaderboards/compressors.tsv`, which `scripts/compress_tests.py` makes.

    Attributes:
        task: its name.
        data_sha256: of the task's events.
        num_dims: scored dims of the test split.
        compressor: its name.
        num_bytes: of the test split, compressed.
        about: what it was given, and its settings.
    """

    task: str
    data_sha256: str
    num_dims: int
    compressor: str
    num_bytes: int
    about: str

    @property
    def nats_per_dim(self) -> float:
        """The size as a negative log-likelihood."""
        return in_nats(8 * self.num_bytes) / self.num_dims


def compressed_tests(data_sha256: str, num_dims: int) -> list[CompressedTest]:
    """The sizes of a test split, in the order of the file.

    Args:
        data_sha256: of the data that it belongs to.
        num_dims: of the test split that was evaluated; a part of it has no sizes.
    """
    return [row for row in _rows() if (row.data_sha256, row.num_dims) == (data_sha256, num_dims)]


@functools.cache
def _rows() -> tuple[CompressedTest, ...]:
    text = (resources.files("arbench.leaderboards") / FILE).read_text(encoding="utf-8")
    return tuple(
        CompressedTest(
            task=row["task"],
            data_sha256=row["data_sha256"],
            num_dims=int(row["num_dims"]),
            compressor=row["compressor"],
            num_bytes=int(row["num_bytes"]),
            about=row["about"],
        )
        for row in csv.DictReader(text.splitlines(), delimiter="\t")
    )
