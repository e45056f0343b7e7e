"""Buffers whose length is not known before `fit`: a network that counts keeps what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def take_rows(module: nn.Module, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    """Give a module's own buffers as many rows as there are in what it is about to load.

    For `nn.Module.register_load_state_dict_pre_hook`, by a network that registers such buffers
    without rows and replaces them in `fit`. Weights files may then hold any number of rows.

    Args:
        module: the network.
        state: what it is about to load, by name.
        prefix: before the names of its own buffers there.
    """
    for name, buffer in list(module.named_buffers(recurse=False)):
        loaded = state.get(f"{prefix}{name}")
        if loaded is not None and loaded.shape[1:] == buffer.shape[1:]:
            setattr(module, name, buffer.new_empty(loaded.shape))
