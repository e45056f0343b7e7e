"""Registers the measurements that come with arbench: likelihood, truth, speed."""

from __future__ import annotations

from arbench.registry.entries import MeasurementEntry

arbench_entries = [
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
