"""The stage `speed`: samplers of every zoo entry, and of a GPT of 6 x 384, eager and graphed.

For an entry of the zoo the sampler is timed as `arbench bench` times it, and as one CUDA graph.
A speed report is left beside, which boards join to the entry's result. For the GPT, whose weights
are random, the share of the card's bandwidth is stated: what a batch has to read, weights once per
site, and keys and values, over what a plain copy moves in the same time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from parts import Parts, Rows

import arbench
from arbench.boards.speeds import SpeedReport
from arbench.measure.speed import SpeedRecord, measure_sampling, timed_calls
from arbench.probability.heads.natural import natural_head
from arbench.probability.model import Model
from arbench.registry.manager import registry
from arbench.runs.record.record import Record
from arbench.runs.zoo import zoo_folder, zoo_index

BATCH_SIZES = (1, 64, 1024)
SMALL_BATCH_SIZES = (1, 4)
CAP_S = 3.0
GPT = {"width": 384, "num_layers": 6, "num_heads": 6}


def run(parts: Parts) -> None:
    """Make a part for the GPT and for every zoo entry, the small ones first."""
    parts.make("gpt-6x384", partial(rows_of_gpt, parts))
    for name, entry in sorted(zoo_index().items(), key=lambda item: item[1].num_parameters):
        if entry.bundled is not None:
            parts.make(name, partial(rows_of_entry, parts, name))


def rows_of_gpt(parts: Parts) -> Rows:
    """Times of a GPT of random weights over binary 28x28 images; on a CPU of two layers."""
    spec = arbench.EventSpec((1, 28, 28) if not parts.is_small else (1, 7, 7), arbench.Discrete(2))
    layout = arbench.Layout(spec)
    head = natural_head(layout)
    sizes = {**GPT, "num_layers": 2} if parts.is_small else GPT
    network = registry().models["gpt"].load()(layout, head.num_params, **sizes)
    model = Model(network, head, layout).to(parts.device).eval()
    rows = times(parts, model)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    per_layer = 2 * sizes["width"] * 4  # a key and a value of a site, float32
    moved = bytes_per_second(parts.device)
    for row in rows:
        sites = layout.num_sites
        cache = row["batch_size"] * sizes["num_layers"] * per_layer * sites * (sites + 1) / 2
        row["bandwidth_share"] = (weights * sites + cache) / row["median_s"] / moved
    return rows


def rows_of_entry(parts: Parts, name: str) -> Rows:
    """Times of a zoo entry's samplers; leaves the speed report of those without a graph."""
    folder = zoo_folder() / name
    density = arbench.load(name, device=parts.device.type)
    rows = times(parts, density)
    plain = [SpeedRecord(**row["record"]) for row in rows if "record" in row]
    if plain:
        report = SpeedReport.measured(plain, Record.read(folder / "record.json"), parts.device)
        place = parts.folder / "speed-reports" / name
        place.mkdir(parents=True, exist_ok=True)
        report.write(place / report.file_name)
    return rows


def times(parts: Parts, density: Any) -> Rows:
    """A row for each batch size: its default sampler, and that in a graph where it steps."""
    rows: Rows = []
    for batch_size in SMALL_BATCH_SIZES if parts.is_small else BATCH_SIZES:
        (record,) = measure_sampling(
            density,
            methods=density.samplers[:1],
            batch_sizes=(batch_size,),
            repeats=1 if parts.is_small else 5,
            cap_s=CAP_S,
        )
        row = {"batch_size": batch_size, "median_s": record.median_s}
        row |= {"method": record.method, "kernel": record.kernel}
        rows.append(row | {"record": record.model_dump(mode="json")})
        if isinstance(density, Model) and record.method == "step" and not parts.is_small:
            rows.append({"batch_size": batch_size, "method": "step, graph"})
            rows[-1] |= graphed(density, batch_size, row["median_s"])
    return rows


def graphed(model: Model, batch_size: int, eager_s: float) -> dict[str, Any]:
    """What the sampler in a graph takes; or why there is none: a step that waits has none."""
    from graphed import GraphedSampler, first_wait

    waits = first_wait(model, batch_size)
    if waits != "none":
        return {"waits": waits}
    began = time.perf_counter()
    sampler = GraphedSampler(model, batch_size)
    captured_s = time.perf_counter() - began
    generator = torch.Generator().manual_seed(1)

    def draw() -> None:  # random numbers are part of a sample
        sampler(model.draw_noise(batch_size, generator))

    median_s = median_of(draw, model.device)
    return {
        "waits": waits,
        "captured_s": captured_s,
        "median_s": median_s,
        "times_faster": eager_s / median_s,
    }


def median_of(function: Callable[[], object], device: torch.device) -> float:
    """The median of a few calls, in seconds."""
    calls = timed_calls(function, device=device, repeats=5, cap_s=CAP_S)
    return statistics.median(seconds for seconds in calls if seconds is not None)


def bytes_per_second(device: torch.device) -> float:
    """What a copy reads and writes, in bytes a second."""
    size = (1 << 20) if device.type != "cuda" else (1 << 30)
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / median_of(lambda: target.copy_(source), device)
