"""The two codes that a likelihood is held against: a background model, and a general compressor."""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbench import Discrete, EventSpec, Layout, Model, Split, in_bits, untrained

_MOST_NEIGHBOURS = 4
_MOST_ENTRIES = 1 << 22
_BATCH = 1000
_FILTERS = [{"id": lzma.FILTER_LZMA1, "lc": 0, "lp": 0, "pb": 0, "dict_size": 1 << 16}]
COMPRESSOR = "LZMA without a header; zeros and ones 8 a byte, levels by Paeth's prediction"


def tables(spec: EventSpec) -> Model:
    """`cpt` with as many neighbours, up to four, as leave its tables small; not fitted yet."""
    assert isinstance(spec.domain, Discrete)
    size, neighbours = spec.domain.size, _MOST_NEIGHBOURS
    while neighbours and spec.num_dims * size ** (neighbours + 1) > _MOST_ENTRIES:
        neighbours -= 1
    return untrained("cpt", Layout(spec), neighbours=neighbours).eval()


def fitted(
    spec: EventSpec, train: Split, advance: Callable[[float, str], None] = lambda *_: None
) -> dict[str, Tensor]:
    """The tables of `cpt`, counted over all train events; `advance` is told the share done."""
    model = tables(spec)
    layout = model.layout

    def batches() -> Iterator[tuple[Tensor, Tensor | None]]:
        for start in range(0, len(train), _BATCH):
            advance(start / len(train), "")
            rows = slice(start, start + _BATCH)
            sites = layout.to_sites(train.events[rows]).long()
            scored = None if train.scored is None else layout.scored_sites(train.scored[rows])
            yield sites, scored

    network = model.network
    network.fit(batches())
    return dict(network.state_dict())


def code_nats(split: Split, spec: EventSpec) -> Tensor:
    """How long the code of each event is that a general compressor makes, `(N,)` nats.

    It is given what of an event is scored, event by event, and has seen nothing before.
    """
    assert isinstance(spec.domain, Discrete)
    lengths = []
    for number, event in enumerate(split.events.numpy()):
        scored = None if split.scored is None else split.scored[number].numpy()
        data = lzma.compress(_form(event, scored, spec), lzma.FORMAT_RAW, filters=_FILTERS)
        lengths.append(8 * len(data) / in_bits(1.0))
    return torch.tensor(lengths, dtype=torch.float64)


def _form(event: NDArray[np.integer], scored: NDArray[np.bool_] | None, spec: EventSpec) -> bytes:
    size = spec.domain.size if isinstance(spec.domain, Discrete) else 0
    if size > 2 and size <= 256 and event.ndim == 3 and scored is None:
        event = _residuals(event)
    values = event.reshape(-1) if scored is None else event[scored]
    if size == 2:
        return np.packbits(values.astype(np.uint8)).tobytes()
    return values.astype(np.uint8 if size <= 256 else "<i4").tobytes()


def _residuals(levels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Levels `(C, H, W)` minus what Paeth predicts of their neighbours, modulo 256.

    Source: PNG specification (W3C 2003), section 9.4.
    """
    padded = np.pad(levels.astype(np.int64), ((0, 0), (1, 0), (1, 0)))
    left, above, corner = padded[:, 1:, :-1], padded[:, :-1, 1:], padded[:, :-1, :-1]
    guess = left + above - corner
    gaps = np.stack([np.abs(guess - each) for each in (left, above, corner)])
    predicted = np.choose(gaps.argmin(0), [left, above, corner])
    residuals: NDArray[np.integer] = (levels - predicted) % 256
    return residuals
