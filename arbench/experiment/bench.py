"""What to time: the samplers of a density, by batch size and device."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from arbench.experiment.records import SpeedRecord
from arbench.experiment.seeds import keyed_generator
from arbench.experiment.speed import time_callable
from arbench.probability.ensemble import Ensemble
from arbench.probability.model import Model

_WHOLE_SITES = 3


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

    The whole-forward sampler does the same work at every site, so it is timed on a few sites in
    the middle of nothing else and scaled to all T; such a row says `extrapolated`.

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
            noise = density.draw_noise(batch_size, keyed_generator(0, "bench"))
            num_sites = noise.shape[1]
            extrapolated = method == "whole" and not full and num_sites > _WHOLE_SITES
            if extrapolated:
                first = num_sites - _num_sites(density)
                noise = noise[:, : first + _WHOLE_SITES]
            scale = _num_sites(density) / _WHOLE_SITES if extrapolated else 1.0
            timing = time_callable(
                lambda noise=noise, method=method: density.sample(  # type: ignore[misc]
                    len(noise), noise=noise, method=method
                ),
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


def _num_sites(density: Model | Ensemble) -> int:
    member = density.members[0] if isinstance(density, Ensemble) else density
    assert isinstance(member, Model)
    return member.layout.num_sites


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
