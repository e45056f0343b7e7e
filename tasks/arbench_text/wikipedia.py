"""`enwik8`, `text8` and `wikitext2-raw`: texts of the English Wikipedia out of zip archives."""

from __future__ import annotations

import functools
import string

import numpy as np
import torch
from torch import Tensor

from arbench import (
    DataError,
    Discrete,
    SourceFile,
    SplitName,
    StreamTask,
    TextRendering,
    fetch,
    read_zip_member,
)


class _HundredMillion(StreamTask):
    """100,000,000 symbols in one member: the first 90 % train, 5 % validation, 5 % test.

    Attributes:
        num_bytes: the size that the member must have.
    """

    num_bytes = 100_000_000

    def load_stream(self, split: SplitName) -> Tensor:
        """The symbols of a split, uint8.

        Raises:
            DataError: if the archive is not the published one.
            NetworkError: if it is not on this machine and cannot be downloaded.
        """
        symbols = self._symbols
        train, test = len(symbols) * 9 // 10, len(symbols) * 19 // 20
        start, end = {
            "train": (0, train),
            "validation": (train, test),
            "test": (test, len(symbols)),
        }[split]
        return symbols[start:end]

    @functools.cached_property
    def _symbols(self) -> Tensor:
        path = fetch(self.files[0])
        content = read_zip_member(path, self.name, max_bytes=self.num_bytes)
        if len(content) != self.num_bytes:
            raise DataError(
                f"{path}: {self.name} has {len(content):,} bytes, expected {self.num_bytes:,}"
            )
        return self._values(content)

    def _values(self, content: bytes) -> Tensor:
        return _bytes(content)


class Enwik8(_HundredMillion):
    """The first 100,000,000 bytes of a Wikipedia dump of 2006, markup and all, 256 values.

    Source: Mahoney, "About the test data", 2011; the split is that of Chung, Ahn and Bengio,
    "Hierarchical multiscale recurrent neural networks", ICLR 2017.
    """

    name = "enwik8"
    version = "1"
    domain = Discrete(256)
    unit = "byte"
    source = "enwik8 (GFDL), http://mattmahoney.net/dc/textdata.html"
    files = (
        SourceFile(
            path="enwik8.zip",
            urls=("http://mattmahoney.net/dc/enwik8.zip",),
            sha256="547994d9980ebed1288380d652999f38a14fe291a6247c157c3d33d4932534bc",
            size=36_445_475,
        ),
    )
    rendering = TextRendering()


class Text8(_HundredMillion):
    """Wikipedia without markup: lower-case letters, digits spelled out, single spaces.

    Source and split: as for `Enwik8`.
    """

    name = "text8"
    version = "1"
    domain = Discrete(27)
    unit = "char"
    source = "text8 (GFDL), http://mattmahoney.net/dc/textdata.html"
    files = (
        SourceFile(
            path="text8.zip",
            urls=("http://mattmahoney.net/dc/text8.zip",),
            sha256="a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232",
        ),
    )
    rendering = TextRendering(symbols=(" ", *string.ascii_lowercase))

    def _values(self, content: bytes) -> Tensor:
        # Latin-1 has a character for every byte, so the error can name any wrong one.
        try:
            return self.rendering.encode(content.decode("latin-1"))
        except ValueError as error:
            raise DataError(f"{self.name}: {error}") from error


class WikiText2(StreamTask):
    """Good articles of Wikipedia with their own splits, 256 values.

    By bytes: the test text has characters that occur nowhere in train.

    Source: Merity, Xiong, Bradbury and Socher, "Pointer sentinel mixture models", ICLR 2017.
    """

    name = "wikitext2-raw"
    version = "1"
    domain = Discrete(256)
    unit = "byte"
    source = "WikiText-2 raw (CC BY-SA 3.0), arXiv:1609.07843"
    pinned = False
    files = (
        SourceFile(
            path="wikitext-2-raw-v1.zip",
            urls=(
                "https://s3.amazonaws.com/research.metamind.io/wikitext/wikitext-2-raw-v1.zip",
                "https://huggingface.co/datasets/ggml-org/ci/resolve/main/wikitext-2-raw-v1.zip",
            ),
            sha256=None,
        ),
    )
    rendering = TextRendering()

    def load_stream(self, split: SplitName) -> Tensor:
        """The bytes of a split, uint8.

        Raises:
            DataError: if the archive is damaged or not that of the first use.
            NetworkError: if it is not on this machine and cannot be downloaded.
        """
        stem = {"train": "train", "validation": "valid", "test": "test"}[split]
        member = f"wikitext-2-raw/wiki.{stem}.raw"
        return _bytes(read_zip_member(fetch(self.files[0]), member, max_bytes=1 << 24))


def _bytes(content: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(content, np.uint8).copy())
