"""What sets records of one model apart: the settings in which they differ, never a bare hash."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from arbench.runs.record.record import Record

_MOST_SETTINGS = 3


def flat_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Values by "section.setting"; the options of a head are settings of its section."""
    flat: dict[str, Any] = {}
    for section, values in settings.items():
        own = {**values, **values.get("options", {})}
        flat |= {f"{section}.{key}": own[key] for key in own if key != "options"}
    return flat


def setting_text(value: Any) -> str:
    """A value as `--set` takes it."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def names_apart(labels: Sequence[str], records: Sequence[Record]) -> list[str]:
    """The labels, no two alike: where some are, each says what sets its record apart.

    That are the settings that differ, at most three, those of the network first; where that leaves
    some alike, as the seeds of old records or a foreign density, a number follows.
    """
    names = [*labels]
    for label in dict.fromkeys(labels):
        places = [place for place, other in enumerate(labels) if other == label]
        if len(places) == 1:
            continue
        texts = _settings_apart([records[place] for place in places])
        seen: dict[str, int] = {}
        for place, text in zip(places, texts, strict=True):
            seen[text] = seen.get(text, 0) + 1
            again = f" ({seen[text]})" if texts.count(text) > 1 else ""
            names[place] = f"{label} {text}".rstrip() + again
    return names


def _settings_apart(records: Sequence[Record]) -> list[str]:
    every = [
        {} if record.training is None else flat_settings(record.training.settings)
        for record in records
    ]
    trained = [settings for settings in every if settings]
    differing = [
        key
        for key in (trained[0] if trained else ())
        # What an old record does not name is no difference that anybody has made.
        if all(key in settings for settings in trained)
        and len({json.dumps(settings[key]) for settings in trained}) > 1
    ]
    told = sorted(differing, key=lambda key: not key.startswith("network."))[:_MOST_SETTINGS]
    return [
        " ".join(
            f"{key.partition('.')[2]}={setting_text(settings[key])}"
            for key in told
            if key in settings
        )
        for settings in every
    ]
