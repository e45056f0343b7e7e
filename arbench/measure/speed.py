"""The measurement `speed`, which times the samplers; times any callable."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from arbench.files.documents import Count, Finite, Line, Part
from arbench.measure.allocator import kept_for_reuse
from arbench.measure.context import Context, Handed
from arbench.measure.environment import Section
from arbench.measure.measurement import Measured, Measurement
from arbench.probability.precision import evaluation_mode
from arbench.probability.randomness import keyed_generator
from arbench.show.reporting import Advance

if TYPE_CHECKING:
    from arbench.probability.density import Density

SPEED_BATCH_SIZES = (1, 64)  # of a run's own record


class SpeedRecord(Part):
    """How fast one sampler is on one device.

    It is `shared` if other runs were at work on the machine meanwhile; boards show no such row.
    """

    method: Line
    batch_size: Count
    device: Line
    precision: Line
    compiled: bool
    kernel: Literal["python", "native"] = "python"  # older records have no other
    repeats: Count
    median_s: Finite
    iqr_s: Finite
    events_per_s: Finite
    extrapolated: bool
    shared: bool = False  # older records do not say


class SpeedSection(Section):
    """How fast samplers are, a row for each and each batch size."""

    rows: Annotated[list[SpeedRecord], Field(min_length=1)]


class Speed(Measurement):
    """Samples per second, of the default sampler unless others are named."""

    name = "speed"
    version = "1"
    unit = "samples/s"
    better = "higher"
    reads = ()
    needs = ("sample",)
    exclusive = True
    reproducible = False
    section = SpeedSection
    tiny_settings: ClassVar[Mapping[str, Any]] = {"batch_sizes": [1]}

    def __init__(
        self,
        *,
        samplers: Sequence[str] = (),
        batch_sizes: Sequence[int] = SPEED_BATCH_SIZES,
        full: bool = False,
        device: str = "",
    ) -> None:
        self.samplers, self.batch_sizes, self.full = samplers, batch_sizes, full
        self.device = device  # so that times on several devices have keys of their own

    def refuses(self, density: Density, dataset: Handed) -> str | None:
        """Where the density has no sampler of such a name, or is on another device."""
        if self.device and torch.device(self.device).type != density.device.type:
            return f"it asks for {self.device}, and the density is on {density.device}"
        for name in self.samplers:
            if name not in density.samplers:
                return f"there is no sampler {name!r}; there are: {', '.join(density.samplers)}"
        return None

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        """Times of every sampler and batch size; the number is that of the fastest."""
        with context.reporter.bar("timing", live=False) as advance:
            rows = measure_sampling(
                density,
                methods=self.samplers or density.samplers[:1],
                batch_sizes=self.batch_sizes,
                full=self.full,
                progress=advance,
            )
        if not context.alone:
            rows = [row.model_copy(update={"shared": True}) for row in rows]
        best = max(rows, key=lambda row: row.events_per_s)
        number = self.row(f"{best.method}, batch {best.batch_size}", best.events_per_s)
        return Measured([number], details={"rows": [row.model_dump(mode="json") for row in rows]})


def measure_sampling(
    density: Density,
    *,
    methods: Sequence[str],
    batch_sizes: Sequence[int],
    repeats: int = 5,
    cap_s: float = 20.0,
    full: bool = False,
    progress: Advance = lambda fraction, note: None,
) -> list[SpeedRecord]:
    """Seconds per batch of samples, for every method and batch size.

    Random numbers are part of a sample, so drawing them is part of its cost. Of a slow sampler the
    density names an excerpt, whose time is scaled to the batch; the row says `extrapolated`.

    Args:
        density: what to sample, where it is to be timed.
        methods: sampler names.
        batch_sizes: events per call.
        repeats: timed calls at most, per row.
        cap_s: time cap per row in seconds.
        full: time slow samplers in full too.
        progress: told the fraction of calls done and what is being timed, never inside what is.
    """
    rows: list[SpeedRecord] = []
    num_rows, device = len(methods) * len(batch_sizes), density.device
    module = density if isinstance(density, nn.Module) else nn.Module()
    for method, batch_size in itertools.product(methods, batch_sizes):
        note = f"{method}, batch {batch_size:,}"
        progress(len(rows) / num_rows, note)
        excerpt = None if full else density.excerpt(method, batch_size)
        generator = keyed_generator(0, "bench")
        draw = partial(density.sample, batch_size, generator=generator, method=method)
        part, num_parts = (excerpt.call, excerpt.num_parts) if excerpt else (draw, 1.0)
        seconds: list[float] = []
        with kept_for_reuse(), evaluation_mode(module):
            calls = timed_calls(part, device=device, repeats=repeats, cap_s=cap_s)
            for number, each in enumerate(calls, 1):
                progress((len(rows) + number / (1 + repeats)) / num_rows, note)
                seconds += [] if each is None else [each]
                generator.manual_seed(generator.initial_seed())  # every call draws the same events
        of_two = seconds if len(seconds) > 1 else seconds * 2  # the fewest that have quartiles
        low, median, high = statistics.quantiles(of_two, n=4, method="inclusive")
        rows.append(
            SpeedRecord(
                method=method,
                batch_size=batch_size,
                device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
                precision=str(density.dtype).removeprefix("torch."),
                compiled=False,
                kernel=getattr(density, "kernel", lambda *_: "python")(method, batch_size),
                repeats=len(seconds),
                median_s=median * num_parts,
                iqr_s=(high - low) * num_parts,
                events_per_s=batch_size / (median * num_parts),
                extrapolated=excerpt is not None,
            )
        )
    progress(1.0, "")
    return rows


def synchronize(device: torch.device) -> None:
    """Wait until everything queued on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "xpu":
        torch.xpu.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def timed_calls(
    function: Callable[[], object],
    *,
    device: torch.device,
    warmup: int = 1,
    repeats: int = 5,
    cap_s: float = 30.0,
) -> Iterator[float | None]:
    """The seconds of one call after another; None of those that warm up, which come first.

    No clock runs while the caller has the turn, between two calls; the cap counts that time.

    Args:
        function: what to time.
        device: synchronised before and after each call.
        warmup: untimed calls first.
        repeats: timed calls at most.
        cap_s: no further call is started once this much time has passed, the first timed call
            excepted.
    """
    started = time.perf_counter()
    for _ in range(warmup):
        function()
        yield None
    for number in range(repeats):
        if number and time.perf_counter() - started > cap_s:
            return
        synchronize(device)
        begin = time.perf_counter()
        function()
        synchronize(device)
        yield time.perf_counter() - begin
