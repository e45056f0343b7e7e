"""Refuses to train a network that is larger than anybody meant, and says what would fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import psutil
import torch

from arbench.errors import ConfigError
from arbench.probability.events import Discrete
from arbench.runs.config import RunConfig, assemble

MOST_PARAMETERS = 100_000_000
_BYTES = 4  # of a weight


def require_size(config: RunConfig, count: int, device: torch.device) -> None:
    """Refuse more parameters than are trained without `--large`, and more than memory holds.

    Weights, their gradients, the optimiser's moments, the best weights so far and the average all
    have to be in memory; activations come on top, and are not counted.

    Args:
        config: of the run; no weight has been allocated yet.
        count: how many parameters it has.
        device: where it is to be trained.

    Raises:
        ConfigError: with the setting that makes it so large, and a value that would fit.
    """
    training = config.recipe.training
    copies = 3 + (1 if training.optimizer == "sgd" else 2) + (training.ema_decay > 0)
    free = _free_bytes(device)
    most = min(MOST_PARAMETERS, free // (copies * _BYTES))
    if count <= most:
        return
    why = f"at most {MOST_PARAMETERS:,} are trained without --large"
    if most < MOST_PARAMETERS:
        why = (
            f"to train it takes {copies * _BYTES * count / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB "
            f"of memory are free on {device}; --large tries it all the same"
        )
    spec = config.members[0].layout.build().spec
    values = f", of {spec.domain.size:,} values each" if isinstance(spec.domain, Discrete) else ""
    events = f"events {tuple(spec.shape)}{values}"
    raise ConfigError(
        f"{config.model} on {config.task} has {count:,} parameters for {events}: {why}. "
        f"{_advice(config, most)}"
    )


def num_parameters(config: RunConfig) -> int:
    """How many parameters its network has; nothing is allocated for it."""
    return sum(p.numel() for p in assemble(config, device="meta").network.parameters())


def _advice(config: RunConfig, most: int) -> str:
    """The setting that makes a network so large, and what would fit, in a sentence.

    Where a switch that is turned off is not enough, the next setting has its turn.
    """
    changes: dict[str, Any] = {}
    worst = ""
    while name := _worst(config, changes):
        value = _sizes(config)[name]
        worst = worst or f"Most of it is {name} = {_text(value)}"
        low, high = (0, 1) if value is True else (1, max(_items(value)))
        top = high
        while high - low > 1:  # `low` fits, if anything does
            middle = (low + high) // 2
            fits = _count(config, {**changes, name: _scaled(value, middle, top)}) <= most
            low, high = (middle, high) if fits else (low, middle)
        changes[name] = _scaled(value, low, top)
        count = _count(config, changes)
        said = " ".join(f"--set {key}={_text(own)}" for key, own in changes.items())
        if count <= most:
            return f"{worst}: {said} would fit, with {count:,}"
        if value is not True:
            return (
                f"{worst}, but with {said} it still has {count:,}: take smaller events, or a model "
                "whose weights do not grow with them"
            )
    return "No setting makes it small enough: take smaller events, or another model"


def _worst(config: RunConfig, changes: Mapping[str, Any]) -> str:
    """The setting that saves the most where it is halved or turned off; empty if none saves."""
    count = _count(config, changes)
    saving = {
        name: count - _count(config, {**changes, name: _scaled(value, 1, 2)})
        for name, value in _sizes(config).items()
        if name not in changes
    }
    best = max(saving, key=saving.__getitem__, default="")
    return best if best and saving[best] > 0 else ""


def _sizes(config: RunConfig) -> dict[str, Any]:
    """The settings that may be sizes: whole numbers, lists of them, and switches that are on."""
    settings = {**config.hyperparameters, "num_copies": config.recipe.ensemble.num_copies}
    return {
        name: value
        for name, value in settings.items()
        if value is True
        or ((items := _items(value)) and all(type(each) is int and each > 0 for each in items))
        if value is True or max(_items(value)) > 1
    }


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _scaled(value: Any, share: int, of: int) -> Any:
    """A share of a size, or of each of a list, rounded down; at least 1. A switch is turned off."""
    if value is True:
        return False
    if isinstance(value, list):
        return [_scaled(each, share, of) for each in value]
    return max(1, value * share // of)


def _count(config: RunConfig, changes: Mapping[str, Any]) -> int:
    """How many parameters there are with other settings; very many, if they are refused."""
    network = {name: value for name, value in changes.items() if name != "num_copies"}
    own: dict[str, Any] = {"hyperparameters": {**config.hyperparameters, **network}}
    if "num_copies" in changes:
        copies = {"num_copies": changes["num_copies"]}
        ensemble = config.recipe.ensemble.model_copy(update=copies)
        own["recipe"] = config.recipe.model_copy(update={"ensemble": ensemble})
    try:
        return num_parameters(config.model_copy(update=own))
    except ConfigError:
        return 1 << 62  # such as a width that its number of heads does not divide


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _free_bytes(device: torch.device) -> int:
    """Memory that is free where the network is to be trained."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
