"""Refuses to train a network that is larger than anybody meant, and says what would fit."""

from __future__ import annotations

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
    """The setting that makes a network so large, and what would fit, in a sentence."""
    count, sizes = num_parameters(config), _sizes(config)
    halved = {name: _count_with(config, name, _scaled(sizes[name], 1, 2)) for name in sizes}
    saving = {name: count - half for name, half in halved.items() if half < count}
    if not saving:
        return "No setting makes it smaller: take smaller events, or another model"
    name = max(saving, key=saving.__getitem__)
    value = sizes[name]
    top = max(_items(value))
    low, high = 1, top  # `low` fits, if anything does
    while high - low > 1:
        middle = (low + high) // 2
        fit = _count_with(config, name, _scaled(value, middle, top)) <= most
        low, high = (middle, high) if fit else (low, middle)
    small = _scaled(value, low, top)
    fits, said = _count_with(config, name, small), f"Most of it is {name} = {_text(value)}"
    if fits <= most:
        return f"{said}: --set {name}={_text(small)} would fit, with {fits:,}"
    return (
        f"{said}, but with {_text(small)} it still has {fits:,}: take smaller events, or a model "
        "whose weights do not grow with them"
    )


def _sizes(config: RunConfig) -> dict[str, Any]:
    """The settings that may be sizes: whole numbers and lists of them, and how many copies."""
    settings = {**config.hyperparameters, "num_copies": config.recipe.ensemble.num_copies}
    return {
        name: value
        for name, value in settings.items()
        if (items := _items(value))
        and all(type(each) is int and each > 0 for each in items)
        and max(items) > 1
    }


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _scaled(value: Any, share: int, of: int) -> Any:
    """A share of a size, or of each of a list, rounded down; at least 1."""
    if isinstance(value, list):
        return [_scaled(each, share, of) for each in value]
    return max(1, value * share // of)


def _count_with(config: RunConfig, name: str, value: Any) -> int:
    """How many parameters there are with another size; very many, if that is refused."""
    own: dict[str, Any] = {"hyperparameters": {**config.hyperparameters, name: value}}
    if name == "num_copies":
        ensemble = config.recipe.ensemble.model_copy(update={name: value})
        own = {"recipe": config.recipe.model_copy(update={"ensemble": ensemble})}
    try:
        return num_parameters(config.model_copy(update=own))
    except ConfigError:
        return 1 << 62  # such as a width that its number of heads does not divide


def _text(value: Any) -> str:
    return str(value).replace(" ", "")


def _free_bytes(device: torch.device) -> int:
    """Memory that is free where the network is to be trained."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
