"""What runs are called in a chart: the model, and whatever sets it apart from the others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any

from arbench import TrainingCurve

_HASH = re.compile(r"[0-9a-f]{8,}")
_MOST_SETTINGS = 3
_MOST_LETTERS = 40


def labels_of(curves: Sequence[TrainingCurve], names: Sequence[str]) -> list[str]:
    """A label for each curve, no two alike, and none of them a bare hash.

    Runs on several tasks name them. Runs of one model are told apart by their settings, recipes and
    seeds, as far as these differ, then by the names that the user typed, and by numbers if nothing
    else is left.

    Args:
        curves: of runs.
        names: what the user typed for each.
    """
    tasks = [task_name(curve.task) for curve in curves]
    several = len(set(tasks)) > 1
    labels = [
        f"{curve.model} on {task}" if several else curve.model
        for curve, task in zip(curves, tasks, strict=True)
    ]
    ways: list[Callable[[list[int]], list[str]]] = [
        lambda places: _settings(curves, places),
        lambda places: [f", recipe {curves[i].recipe}" for i in places],
        lambda places: [f", seed {curves[i].seed}" for i in places],
        lambda places: [_name(names[i]) for i in places],
        lambda places: [f" ({number})" for number, _ in enumerate(places, 1)],
    ]
    for way in ways:
        for label in dict.fromkeys(labels):
            places = [i for i, other in enumerate(labels) if other == label]
            added = way(places)
            if len(set(added)) > 1:
                for place, text in zip(places, added, strict=True):
                    labels[place] += text
    return labels


def task_name(task: str) -> str:
    """A task without the hash that data of the user's own have in theirs."""
    return re.sub(r"-[0-9a-f]{8}$", "", task)


def _settings(curves: Sequence[TrainingCurve], places: Sequence[int]) -> list[str]:
    """The settings in which some curves differ; empty texts where these are too many to name."""
    settings = [curves[place].settings for place in places]
    keys = [
        key
        for key in dict.fromkeys(key for each in settings for key in each)
        if len({json.dumps(each.get(key)) for each in settings}) > 1
    ]
    texts = [
        ", ".join(f"{key.partition('.')[2]}={_value(each.get(key))}" for key in keys)
        for each in settings
    ]
    too_much = len(keys) > _MOST_SETTINGS or max(map(len, texts)) > _MOST_LETTERS
    return [""] * len(places) if too_much or not keys else [f", {text}" for text in texts]


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _name(typed: str) -> str:
    """The last part of a path or a name on the Hub; nothing if that is a hash."""
    name = PurePosixPath(typed.partition("@")[0]).name
    return "" if not name or _HASH.fullmatch(name) else f", {name[:_MOST_LETTERS]}"
