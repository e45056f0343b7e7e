"""The four tables: one class reads them, and each has a subclass with its part of the archive."""

from __future__ import annotations

import functools
import io
import re
from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
import torch

from arbench import (
    SPLITS,
    DataError,
    EventSpec,
    Real,
    SourceFile,
    Split,
    SplitName,
    Task,
    fetch,
    read_members,
)
from arbench_maf import preparation
from arbench_maf.frame import read_frame
from arbench_maf.preparation import Rows, Splits

_ARCHIVE = SourceFile(
    path="maf/data.tar.gz",
    urls=("https://zenodo.org/record/1161203/files/data.tar.gz",),
    sha256=None,
)
_MOST_BYTES = 1 << 31


class FlowTable(Task):
    """Rows `(D,)` of real numbers, standardised, read from `maf/data.tar.gz`.

    A subclass states name, dims, rows of each split and the members of the archive that it reads.
    Nobody has published the archive's sha256, so the tasks are not pinned.

    Source: Papamakarios, Pavlakou and Murray, "Masked autoregressive flow for density estimation",
        NeurIPS 2017, section 4.2 and appendix D; their code, github.com/gpapamak/maf at 64701f1,
        folder datasets. Deviations: means and standard deviations come from sums that are rounded
        once, which moves a value by a rounding of float32 at most.
    """

    version = "1"
    pinned = False
    shared_events = None  # nobody has counted them
    files = (_ARCHIVE,)
    source = f"the tables of the MAF paper, {_ARCHIVE.urls[0]}"
    members: tuple[str, ...]
    num_events: tuple[int, int, int]

    def __init_subclass__(
        cls, *, name: str, num_dims: int, num_events: tuple[int, int, int], members: tuple[str, ...]
    ) -> None:
        """Set the name, the number of dims, the sizes and the members of the data set."""
        cls.name, cls.num_events, cls.members = name, num_events, members
        cls.spec = EventSpec((num_dims,), Real())

    @abstractmethod
    def prepared(self, contents: Mapping[str, bytes]) -> Splits:
        """The splits, from the contents of the members."""

    def load(self, split: SplitName) -> Split:
        """The events `(N, D)` of a split, float32."""
        return Split(torch.from_numpy(self._splits[split]))

    @functools.cached_property
    def _splits(self) -> Splits:
        archive = fetch(_ARCHIVE)
        names = "|".join(map(re.escape, self.members))
        contents: dict[str, bytes] = {}
        wanted = re.compile(rf"(\./)?data/(?P<name>{names})")
        for name, content in read_members(archive, wanted, _MOST_BYTES):
            contents[name] = content
            if len(contents) == len(self.members):
                break  # the archive is large
        for name in self.members:
            if name not in contents:
                raise DataError(f"{archive}: expected the member data/{name}, found none")
        try:
            splits = self.prepared(contents)
        except ValueError as error:
            raise DataError(f"{archive}: {self.name}: {error}") from error
        found = tuple(splits[split].shape for split in SPLITS)
        expected = tuple((num, self.spec.num_dims) for num in self.num_events)
        if found != expected:
            raise DataError(f"{archive}: {self.name}: found splits {found}, expected {expected}")
        return splits


class Power(
    FlowTable,
    name="power",
    num_dims=6,
    num_events=(1659917, 184435, 204928),
    members=("power/data.npy",),
):
    """What a household in Sceaux used of electricity, minute by minute, over 47 months."""

    def prepared(self, contents: Mapping[str, bytes]) -> Splits:
        """See `preparation.power`."""
        return preparation.power(_array(contents["power/data.npy"]))


class Gas(
    FlowTable,
    name="gas",
    num_dims=8,
    num_events=(852174, 94685, 105206),
    members=("gas/ethylene_CO.pickle",),
):
    """What eight of sixteen sensors said of mixtures of ethylene and carbon monoxide in air."""

    def prepared(self, contents: Mapping[str, bytes]) -> Splits:
        """See `preparation.gas`."""
        (member,) = self.members
        return preparation.gas(*read_frame(contents[member], f"{self.name}: {member}"))


class Hepmass(
    FlowTable,
    name="hepmass",
    num_dims=21,
    num_events=(315123, 35013, 174987),
    members=("hepmass/1000_train.csv", "hepmass/1000_test.csv"),
):
    """Simulated collisions that make a particle of mass 1000."""

    def prepared(self, contents: Mapping[str, bytes]) -> Splits:
        """See `preparation.hepmass`."""
        return preparation.hepmass(*(_table(contents[member]) for member in self.members))


class MiniBooNE(
    FlowTable,
    name="miniboone",
    num_dims=43,
    num_events=(29556, 3284, 3648),
    members=("miniboone/data.npy",),
):
    """What detectors of the MiniBooNE experiment saw: electron neutrinos, and muon neutrinos."""

    def prepared(self, contents: Mapping[str, bytes]) -> Splits:
        """See `preparation.miniboone`."""
        return preparation.miniboone(_array(contents["miniboone/data.npy"]))


def _array(content: bytes) -> Rows:
    """The array `(N, columns)` of an npy file.

    Raises:
        ValueError: if it is none, or of Python objects.
    """
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.ndim != 2:
        raise ValueError("expected an npy array of rows and columns")
    return array.astype(np.float64)


def _table(content: bytes) -> Rows:
    """The numbers `(N, columns)` of a csv with a header.

    Raises:
        ValueError: if a field is no number.
    """
    import pandas  # slow to import

    return pandas.read_csv(io.BytesIO(content), index_col=False).to_numpy(np.float64)
