"""What to time: the samplers of a density, by batch size and device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from arbench.experiment.records import SpeedRecord
from arbench.experiment.speed import time_callable
from arbench.probability.ensemble import Ensemble
from arbench.probability.model import Model, evaluation_mode
from arbench.probability.randomness import keyed_generator
from arbench.probability.sampling import move_noise

_WHOLE_SITES = 4


def measure_sampling(
    density: Model | Ensemble,
    *,
    methods: Sequence[str],
    batch_sizes: Sequence[int],
    device: torch.device,
    repeats: int = 5,
    cap_s: float = 20.0,
    full: bool = False,
) -> list[SpeedRecord]:
    """Seconds per batch of samples, for every method and batch size.

    The whole-forward sampler is slow, so it is timed at a few sites, spread evenly, and scaled to
    all T; such a row says `extrapolated`.

    Args:
        density: what to sample, already on `device`.
        methods: sampler names.
        batch_sizes: events per call.
        device: where it runs.
        repeats: timed calls at most, per row.
        cap_s: time cap per row in seconds.
        full: time every site of the whole-forward sampler too.
    """
    rows = []
    parameter = next(iter(density.parameters()), torch.empty(0))
    for method in methods:
        for batch_size in batch_sizes:
            extrapolated = method == "whole" and not full and _num_sites(density) > _WHOLE_SITES
            scale = _num_sites(density) / _WHOLE_SITES if extrapolated else 1.0
            timing = time_callable(
                _few_sites(density, batch_size)
                if extrapolated
                else _all_sites(density, batch_size, method),
                device=device,
                repeats=repeats,
                cap_s=cap_s,
            )
            rows.append(
                SpeedRecord(
                    method=method,
                    batch_size=batch_size,
                    device=_device_name(device),
                    precision=str(parameter.dtype).removeprefix("torch."),
                    compiled=False,
                    repeats=timing.repeats,
                    median_s=timing.median_s * scale,
                    iqr_s=timing.iqr_s * scale,
                    events_per_s=batch_size / (timing.median_s * scale),
                    extrapolated=extrapolated,
                )
            )
    return rows


def _all_sites(density: Model | Ensemble, batch_size: int, method: str) -> Callable[[], object]:
    noise = density.draw_noise(batch_size, keyed_generator(0, "bench"))
    return lambda: density.sample(batch_size, noise=noise, method=method)


def _few_sites(density: Model | Ensemble, batch_size: int) -> Callable[[], object]:
    """What the whole-forward sampler does at a few sites, spread evenly over the order.

    What lies before each of them is a sample, what lies after is 0, as when sampling gets there:
    the cost of a network may depend on it. The members of an ensemble share the batch.
    """
    members = _members(density)
    jobs: list[tuple[Model, int, Tensor, Tensor]] = []
    for index, member in enumerate(members):
        share = len(range(index, batch_size, len(members)))
        if share == 0:
            continue
        noise = member.draw_noise(share, keyed_generator(0, "bench"))
        sites = member.layout.to_sites(member.sample(share, noise=noise))
        prepared = member.head.prepare(move_noise(noise, sites.device))
        for t in _spread(member.layout.num_sites):
            before = torch.where(torch.arange(sites.shape[1], device=sites.device) < t, 1, 0)
            jobs.append((member, t, sites * before[:, None], prepared[:, t]))

    @torch.no_grad()
    def draw() -> None:
        for member, t, sites, prepared in jobs:
            with evaluation_mode(member):
                member.head.draw(member.network(sites)[:, t], prepared)

    return draw


def _spread(num_sites: int) -> list[int]:
    return [num_sites * (2 * i + 1) // (2 * _WHOLE_SITES) for i in range(_WHOLE_SITES)]


def _members(density: Model | Ensemble) -> list[Model]:
    if isinstance(density, Model):
        return [density]
    return [member for member in density.members if isinstance(member, Model)]


def _num_sites(density: Model | Ensemble) -> int:
    return _members(density)[0].layout.num_sites


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
