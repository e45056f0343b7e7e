"""`names`: first names, letter by letter, each with an end."""

from __future__ import annotations

import random
import string
from typing import ClassVar

import torch

from arbench import Discrete, EventSpec, SourceFile, Split, SplitName, Task, TextRendering, fetch

LIST = SourceFile(
    path="names.txt",
    urls=("https://raw.githubusercontent.com/karpathy/makemore/master/names.txt",),
    sha256="0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
    size=228_145,
)
LONGEST = 15
END = 0
SYMBOLS = "\n" + string.ascii_lowercase


class Names(Task):
    """32,033 names of 2 to 15 letters, each with value 0 at its end; padding is not scored.

    The split is that of the makemore lectures: a shuffle by Python's generator with seed 42, then
    80 % train, 10 % validation, 10 % test. Many names occur more than once, also across splits;
    the README counts them.

    Source: names of the US Social Security Administration; list and split: Karpathy, makemore,
    2022.
    """

    name = "names"
    version = "1"
    spec = EventSpec((LONGEST + 1,), Discrete(len(SYMBOLS)))
    unit = "char"
    source = "names.txt of makemore (public domain), " + LIST.urls[0]
    files = (LIST,)
    rendering = TextRendering(symbols=tuple(SYMBOLS), end=END)
    shared_events: ClassVar = {
        ("validation", "train"): 424,
        ("test", "train"): 377,
        ("test", "validation"): 56,
    }

    def load(self, split: SplitName) -> Split:
        """Names `(N, 16)`, uint8; the letters and one end are scored."""
        names = split_names(fetch(LIST).read_text(encoding="ascii"))[split]
        events = torch.full((len(names), *self.spec.shape), END, dtype=torch.uint8)
        for event, name in zip(events, names, strict=True):
            event[: len(name)] = self.rendering.encode(name)
        lengths = torch.tensor([len(name) for name in names])
        return Split(events, torch.arange(LONGEST + 1) <= lengths.unsqueeze(1))


def split_names(text: str) -> dict[SplitName, list[str]]:
    """The names of each split, in the lectures' order."""
    names = text.splitlines()
    random.Random(42).shuffle(names)
    first, second = int(0.8 * len(names)), int(0.9 * len(names))
    return {"train": names[:first], "validation": names[first:second], "test": names[second:]}
