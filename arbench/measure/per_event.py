"""`per_event.safetensors`: the values of every event, for every measurement.

A tensor is called `KEY:NAME`, after the result and the value: `likelihood:log_prob` holds nats.
That of a result's groups is `KEY:groups`. Up to record format 2 the file was
`log_probs.safetensors`, and held the log-probabilities of the test events as `test`, and their
`groups`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from arbench.errors import DataError
from arbench.files.tensors import load_tensors, save_tensors

_GROUPS = "groups"
_OLD_NAMES = {"test": "likelihood:log_prob", "groups": "likelihood:groups"}


@dataclass(frozen=True)
class EventValues:
    """The values of one result.

    Attributes:
        values: by name, `(N,)` float64, one for each event of the result's index.
        groups: `(N,)` int64; events with one number are not independent. None if all are.
    """

    values: Mapping[str, Tensor] = field(default_factory=dict)
    groups: Tensor | None = None


def save_per_event(path: Path, results: Mapping[str, EventValues]) -> str:
    """Write the values of results, by their keys; returns the sha256 of the file."""
    tensors: dict[str, Tensor] = {}
    for key, result in results.items():
        tensors |= {f"{key}:{name}": values.double() for name, values in result.values.items()}
        if result.groups is not None:
            tensors[f"{key}:{_GROUPS}"] = result.groups
    return save_tensors(path, tensors)


def load_per_event(path: Path) -> dict[str, EventValues]:
    """The values in a file, by result, whatever they belong to.

    Raises:
        CheckpointError: if the file is missing or damaged.
        DataError: if a tensor is not what such a file holds.
    """
    found: dict[str, EventValues] = {}
    for name, tensor in load_tensors(path).items():
        key, colon, value = _OLD_NAMES.get(name, name).rpartition(":")
        if not colon or tensor.dim() != 1:
            raise DataError(f"{path}: {name} is no value of a result, one for each event")
        before = found.get(key, EventValues())
        if value == _GROUPS:
            found[key] = EventValues(before.values, tensor)
        elif tensor.is_floating_point():
            found[key] = EventValues({**before.values, value: tensor.double()}, before.groups)
        else:
            raise DataError(f"{path}: {name} holds {tensor.dtype}, expected real numbers")
    for key, result in found.items():
        sizes = {len(values) for values in result.values.values()}
        groups = result.groups
        if groups is not None and (groups.dtype != torch.int64 or {len(groups)} != sizes):
            raise DataError(f"{path}: the groups of {key} are not a whole number for each event")
        if len(sizes) != 1:
            raise DataError(f"{path}: the values of {key} are not of equally many events")
    return found
