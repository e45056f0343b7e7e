"""The measurement compression: bits/dim of a file that was written and decoded back."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from arbench import (
    NLL,
    Context,
    Density,
    Handed,
    Measured,
    Measurement,
    Row,
    RunError,
    Split,
    in_bits,
)
from arbench_compression import baselines, chart, codec
from arbench_compression.coder import Coded
from arbench_compression.content import Content, content_of
from arbench_compression.file import Identity, Sizes

_MOST_EVENTS, _MOST_WINDOWS = 1000, 64  # unless somebody asks for more


class Compression(Measurement):
    """Bits/dim of a file with test events, written and decoded back to equal events.

    Args:
        num_events: how many test events are written, evenly spaced; of a stream, how many of its
            first windows. By default 1,000 events, or 64 windows; all of them if there are fewer.
        batch_size: how many events are coded side by side, at most 1,024.
    """

    name = "compression"
    version = "1"
    unit = "bits/dim"
    better = "lower"
    reads = ("test",)
    needs = ("log_prob", "reference_path")
    tiny_settings: ClassVar = {"num_events": 24, "batch_size": 16}

    def __init__(
        self, *, num_events: int | None = None, batch_size: int = codec.BATCH_SIZE
    ) -> None:
        if num_events is not None and num_events < 1:
            raise ValueError(f"num_events is {num_events}, expected 1 or more")
        if not 1 <= batch_size <= 1024:
            raise ValueError(f"batch_size is {batch_size}, expected 1 to 1024")
        self.num_events, self.batch_size = num_events, batch_size

    def refuses(self, density: Density, dataset: Handed) -> str | None:
        """See `Measurement.refuses`."""
        if dataset.pieces is not None:
            return "a window of a piece does not say where the piece ends, and no reader could tell"
        return codec.why_not(density, dataset.windows)

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        """See `Measurement.measure`."""
        whole = dataset.split("test")
        most = self.num_events or (_MOST_EVENTS if dataset.windows is None else _MOST_WINDOWS)
        rows = whole.spread(most)
        split = whole.take(rows)
        content = content_of(split, dataset.windows, self.batch_size)
        chart.require_matplotlib()
        coded, sizes = self._round_trip(density, content, dataset, context)
        dims = split.scored_dims.double()
        # What the coder's words and the choices add belongs to no event: each dim has its share.
        bits = in_bits(1.0) * coded.code_nats
        bits += (8 * (sizes.payload + sizes.lengths) - bits.sum()) * dims / dims.sum()
        evaluated = -context.log_probs("test")[rows]
        is_whole = len(split) == len(whole)
        which = f"{'first ' if whole.is_stream else ''}{len(split)} of test"
        index = "test" if is_whole else which
        file = self._row("file, written and decoded", bits / in_bits(1.0), split)
        ideals = [
            self._row("ideal of the same probabilities", coded.ideal_nats, split),
            self._row("ideal as evaluated", evaluated, split),
        ]
        beside = self._beside(split, index, dataset, context)
        title = f"{context.subject} on {dataset.name}, {index}"
        return self.measured(
            {"bits": bits, "dims": dims},
            index=index,
            rows=ideals,
            baselines=beside,
            groups=None if is_whole else split.dependent,
            pictures=chart.draw(context.folder / "compression", title, file, ideals, beside),
            details={
                "num_events": len(split),
                "num_dims": int(dims.sum()),
                "batch_size": content.plan.batch_size,
                "header_bytes": sizes.header,
                "payload_bytes": sizes.payload,
                "length_bytes": sizes.lengths,
                "num_choices": len(coded.choices),
                "bits_above_ideal": 8 * sizes.payload - in_bits(coded.ideal_nats.sum().item()),
                "compressors": baselines.installed(dataset.spec, dataset.rendering),
            },
        )

    def value_of(self, values: Mapping[str, Tensor], weights: Tensor) -> float:
        """All bits over all dims; see `Measurement.value_of`."""
        return (values["bits"] @ weights / (values["dims"] @ weights)).item()

    def _row(self, case: str, nats: Tensor, split: Split) -> Row:
        """Of what each event costs, `(N,)`, with its error over what is independent."""
        found = NLL.from_log_probs(-nats, split.scored_dims, groups=split.dependent)
        assert found.bits_per_dim is not None  # of discrete dims
        return self.row(case, found.bits_per_dim, found.standard_error_bits_per_dim)

    def _round_trip(
        self, density: Density, content: Content, dataset: Handed, context: Context
    ) -> tuple[Coded, Sizes]:
        """Write a file, decode it, and compare.

        Raises:
            RunError: if other events come back.
        """
        path = codec.path_of(density, dataset.windows)
        identity = _identity(density, context.subject)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "test.arb"
            with context.reporter.bar("compressing") as advance:
                coded, sizes = codec.compress(path, content, identity, file, advance)
            with context.reporter.bar("decompressing") as advance:
                _, back = codec.decompress(path, identity, file, advance)
        if not torch.equal(back.items, content.items.to(back.items.dtype)):
            raise RunError("the file was decoded to other events than were written")
        return coded, sizes

    def _beside(self, split: Split, index: str, dataset: Handed, context: Context) -> list[Row]:
        """The baselines, which depend on the data alone."""
        names = baselines.installed(dataset.spec, dataset.rendering)
        events = split.events if split.scored is None else split.events[split.scored]
        made = context.artifact(
            f"{index} compressed by {', '.join(names)}",
            lambda _: baselines.sizes(names, events, dataset.spec),
        )
        total = split.num_scored_dims
        return [self.row(name, 8 * made[name].item() / total) for name in names]


def _identity(density: Density, name: str) -> Identity:
    """Of a density whose files nobody names here: a hash of its weights; no file is left."""
    digest = hashlib.sha256()
    for key, tensor in sorted(getattr(density, "state_dict", dict)().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return Identity(name, digest.digest(), digest.digest())
