"""Registers the measurements that come with arbench: likelihood, truth, speed."""

from __future__ import annotations

from arbench.registry.entries import MeasurementEntry
from arbench.registry.hookspecs import hookimpl


@hookimpl
def arbench_register_measurements() -> list[MeasurementEntry]:
    """What every run asks of its density."""
    return [
        MeasurementEntry(
            name="likelihood",
            measurement="arbench.measure.likelihood:Likelihood",
            summary="exact nats per event and bits/dim of validation and test",
        ),
        MeasurementEntry(
            name="truth",
            measurement="arbench.measure.truth:Truth",
            summary="the paired gap to the true density, of synthetic tasks",
        ),
        MeasurementEntry(
            name="speed",
            measurement="arbench.measure.speed:Speed",
            summary="samples per second, by sampler and batch size",
        ),
    ]
