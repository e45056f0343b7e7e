"""What sets records of one model apart: the settings in which they differ, never a bare hash."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arbench.runs.record.record import Record

_MOST_SETTINGS = 3
_OF_TRAINING = ("precision", "compiled", "budget_s", "limit")


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

    That are the settings that differ; where these leave some alike, as the seeds of old records or
    a foreign density, a number follows.
    """
    names = [*labels]
    for label in dict.fromkeys(labels):
        places = [place for place, other in enumerate(labels) if other == label]
        if len(places) == 1:
            continue
        own = [records[place].model_dump(mode="json", include={"training"}) for place in places]
        texts = settings_that_differ(own)
        seen: dict[str, int] = {}
        for place, text in zip(places, texts, strict=True):
            seen[text] = seen.get(text, 0) + 1
            again = f" ({seen[text]})" if texts.count(text) > 1 else ""
            names[place] = f"{label} {text}".rstrip() + again
    return names


def settings_that_differ(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each record, the settings in which it is not as all others: "hidden=100 epochs=3".

    At most three, those of the network first. What one record says nothing of, as one of an older
    arbench may, is no difference that anybody has made. The seed is none: runs that differ in it
    alone are of one recipe.

    Args:
        records: as JSON has them.
    """
    every = []
    for record in records:
        training = record.get("training") or {}
        own = flat_settings(training.get("settings") or {})
        every.append(own | {f"run.{key}": training[key] for key in _OF_TRAINING if key in training})
    trained = [settings for settings in every if settings]
    shared = [key for key in (trained or [{}])[0] if all(key in each for each in trained)]
    differing = [key for key in shared if any(each[key] != trained[0][key] for each in trained)]
    told = sorted(differing, key=lambda key: not key.startswith("network."))[:_MOST_SETTINGS]
    short = Counter(key.partition(".")[2] for key in told)
    return [
        " ".join(
            f"{name if short[name := key.partition('.')[2]] == 1 else key}"
            f"={setting_text(settings[key])}"
            for key in told
            if key in settings
        )
        for settings in every
    ]


def name_of_seeds(folders: Sequence[Path]) -> str:
    """What runs that differ in their seed alone are called together, such as "mnist-nade".

    The seed is taken off the names of their folders; where nothing is left, the folder they lie in
    has the name.
    """
    names = dict.fromkeys(folder.name for folder in folders)
    if len(names) == 1 and not re.fullmatch(r"seed-\d+", folders[0].name):
        return folders[0].name
    stems = dict.fromkeys(re.sub(r"(^|[._-])seed-?\d+", "", name) for name in names)
    if len(stems) == 1 and "" in stems:
        return folders[0].resolve().parent.name
    return ", ".join(stem or name for stem, name in zip(stems, names, strict=False))
