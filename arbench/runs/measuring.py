"""Makes the sections of a record from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from arbench.measure.sections import (
    Environment,
    LikelihoodSection,
    Section,
    SpeedRecord,
    SpeedSection,
    SplitRecord,
    TruthSection,
    WindowsRecord,
)
from arbench.measure.truth import TruthGap


def sections(
    environment: Environment,
    splits: Mapping[Any, SplitRecord],
    windows: WindowsRecord | None,
    truth: TruthGap | None,
    speeds: Sequence[SpeedRecord],
) -> dict[str, Section]:
    """The sections of likelihood, truth and speed, of those that were measured."""
    where: dict[str, Any] = {"version": "1", "environment": environment}
    found: dict[str, Section] = {}
    if splits:
        found["likelihood"] = LikelihoodSection(
            **where,
            windows=windows,
            validation=splits.get("validation"),
            test=splits.get("test"),
        )
    if truth is not None:
        found["truth"] = TruthSection(**where, **asdict(truth))
    if speeds:
        found["speed"] = SpeedSection(**where, rows=[*speeds])
    return found
