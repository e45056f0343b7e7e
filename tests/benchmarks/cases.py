"""What `make bench` times, one line per row of its table. Workers read it, so it imports little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

BASELINE = "3d08936"
ONES = 0.13  # the share of ones in binarised digits, on which several models' costs depend


@dataclass(frozen=True)
class Family:
    """A network of one size, and the events that it is for.

    Attributes:
        network: module and class.
        shape: of an event.
        num_values: K.
        settings: the network's.
        units: what is counted per second.
        units_per_event: how many of them an event has.
        bias: the parameter that decides the share of ones in samples.
    """

    network: tuple[str, str]
    shape: tuple[int, ...]
    num_values: int
    settings: dict[str, Any]
    units: str = "images"
    units_per_event: int = 1
    bias: str | None = None

    @property
    def num_sites(self) -> int:
        """T, of sites of one dim."""
        sites = 1
        for size in self.shape:
            sites *= size
        return sites


_DIGIT = ((1, 28, 28), 2)
_TEXT = ((256,), 65)
FAMILIES = {
    "nade": Family(("arbench_nade.network", "NADE"), *_DIGIT, {"hidden": 500}, bias="readout_bias"),
    "fvsbn": Family(("arbench_fvsbn.network", "FVSBN"), *_DIGIT, {}, bias="bias"),
    "made": Family(
        ("arbench_made.network", "MADE"), *_DIGIT, {"hidden": [8000]}, bias="layers.1.bias"
    ),
    "pixelcnn": Family(
        ("arbench_pixelcnn.network", "PixelCNN"),
        *_DIGIT,
        {"hidden": 16, "num_blocks": 15, "first_kernel": 7, "outputs": 32},
    ),
    "wavenet": Family(
        ("arbench_wavenet.network", "WaveNet"),
        *((1000,), 256),
        {
            "channels": 32,
            "skip_channels": 64,
            "num_blocks": 2,
            "dilations": [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
            "kernel_size": 2,
        },
        *("samples", 1000),
    ),
    "gpt": Family(
        ("arbench_gpt.network", "GPT"),
        *_TEXT,
        {"num_layers": 6, "width": 384, "num_heads": 6, "positions": "learned"},
        *("tokens", 256),
    ),
    "gpt-small": Family(
        ("arbench_gpt.network", "GPT"),
        *_TEXT,
        {"num_layers": 4, "width": 128, "num_heads": 4, "positions": "rotary"},
        *("tokens", 256),
    ),
    "lstm": Family(
        ("arbench_rnn.network", "LSTM"),
        *_TEXT,
        {"hidden": 512, "num_layers": 3, "embedding": 64},
        *("tokens", 256),
    ),
}


@dataclass(frozen=True)
class Quoted:
    """A peer's speed as somebody measured it elsewhere: it is on no package registry.

    Attributes:
        name: the peer.
        per_s: units per second, on one thread.
    """

    name: str
    per_s: float


QUOTED_ON = "AMD EPYC (Zen 5), torch 2.13, one thread, November 2026"
GENERATIVE, NANO_GPT = "pytorch-generative", "nanoGPT"


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        work: "sample", "train" or "evaluate".
        family: a key of `FAMILIES`.
        batch: events at once; to be evaluated, all events, in whatever batches suit the code.
        asked: how many times as fast as the baseline it is to be, if its limit allows.
        asked_of_peer: likewise, of the peer that is measured.
        peer: a peer that is measured, of `worker.PEERS`.
        quoted: a peer that is not.
        stride: of a text's windows; None for events.
    """

    work: Literal["sample", "train", "evaluate"]
    family: str
    batch: int
    asked: float | None = None
    asked_of_peer: float | None = None
    peer: str | None = None
    quoted: Quoted | None = None
    stride: int | None = None

    @property
    def name(self) -> str:
        """Such as "sample nade 64"."""
        return f"{self.work} {self.family} {self.batch}"

    @property
    def of(self) -> Family:
        """The network and its events."""
        return FAMILIES[self.family]

    @property
    def num_units(self) -> int:
        """How many units one call does; of a text, only what is scored counts."""
        if self.stride is not None:
            return self.batch * self.stride
        return self.batch * self.of.units_per_event


CASES = (
    Case("sample", "nade", 1, 50, quoted=Quoted(GENERATIVE, 31)),
    Case("sample", "nade", 64, 5, quoted=Quoted(GENERATIVE, 1391)),
    Case("sample", "fvsbn", 1, 50, quoted=Quoted(GENERATIVE, 0.16)),
    Case("sample", "fvsbn", 64, 5, quoted=Quoted(GENERATIVE, 8.9)),
    Case("sample", "pixelcnn", 1, 10, quoted=Quoted(GENERATIVE, 0.45)),
    Case("sample", "pixelcnn", 64, quoted=Quoted(GENERATIVE, 0.9)),
    Case("sample", "wavenet", 1, 10),
    Case("sample", "wavenet", 64),
    Case("sample", "made", 1, 5, quoted=Quoted(GENERATIVE, 0.1)),
    Case("sample", "made", 64, quoted=Quoted(GENERATIVE, 2.8)),
    Case("sample", "gpt", 1, 2, 2.4, "transformers"),
    Case("sample", "gpt", 16, None, 4, "transformers"),
    Case("sample", "gpt", 64, None, 4, "transformers"),
    Case("sample", "lstm", 1, 1.3, peer="LSTM cells"),
    Case("sample", "lstm", 64, 2, peer="LSTM cells"),
    Case("evaluate", "pixelcnn", 400, 1.6, quoted=Quoted(GENERATIVE, 896)),
    Case("evaluate", "made", 1000, 1.5, quoted=Quoted(GENERATIVE, 2665)),
    Case("evaluate", "gpt-small", 200, 2, quoted=Quoted(NANO_GPT, 10168), stride=64),
    Case("train", "gpt", 2, 1.5, quoted=Quoted(NANO_GPT, 1263)),
    Case("train", "nade", 100, 2.5, quoted=Quoted(GENERATIVE, 407)),
    Case("train", "made", 100, 2, quoted=Quoted(GENERATIVE, 1232)),
    Case("train", "pixelcnn", 32, 1.25, quoted=Quoted(GENERATIVE, 310)),
)
