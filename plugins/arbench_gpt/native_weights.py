"""What GPT's native step reads and keeps; see `native.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from arbench import NativeStep
from arbench.networks.native.memory import fresh_tensor
from arbench_gpt.blocks import Block, rotary_turns
from arbench_gpt.state import LinearWeights, fold, folded

if TYPE_CHECKING:
    from arbench_gpt.network import GPT


def native_step_of(network: GPT, step: Callable[..., None], num_events: int) -> NativeStep:
    """The native step of a network for discrete sites of one dim.

    Args:
        network: whose weights must not change while it samples.
        step: in `native.py`.
        num_events: how many events a step takes together.
    """
    blocks = [block for block in network.blocks if isinstance(block, Block)]
    rows = network.inputs.rows()
    assert rows is not None  # values are discrete
    places = network.inputs.of_places() if network.places is None else network.places
    turns: tuple[Tensor, ...] = (rows[:0], rows[:0])
    if network.rotary:
        turns = rotary_turns(network.num_sites, network.head_dim, rows)
    maps = zip(*(folded(block, network.rotary) for block in blocks), strict=True)
    weights = (
        network.inputs.start,
        rows,
        rows[:0] if places is None else places,
        turns,
        *(_stacked(own) for own in maps),
        _with_bias(*fold(network.norm, network.outputs)),
    )
    width, num_sites = rows.shape[1], network.num_sites
    kept = (len(blocks), blocks[0].num_heads, num_sites, network.head_dim)
    state = (
        *(kept, kept),
        *((width,), (width,), (3 * width,), (width,)),
        (blocks[0].up.out_features,),
        (num_sites,),
    )

    @torch.no_grad()
    def prefill(state: tuple[Tensor, ...], sites: Tensor) -> None:
        read = network.prefill(network.init_state(len(sites)), sites)
        for layer, cache in enumerate(read.caches):
            for own, found in zip(state, (cache.keys, cache.values), strict=False):
                own[:, layer, :, : sites.shape[1]] = found[:, :, : sites.shape[1]]

    return NativeStep(step, weights, state, num_events, prefill)


def _stacked(maps: Sequence[LinearWeights]) -> tuple[Tensor, Tensor]:
    """The maps of all blocks, `(L, outputs, inputs)` in huge pages, and biases `(L, outputs)`."""
    stacked = fresh_tensor((len(maps), *maps[0][0].shape), maps[0][0])
    biases = [_with_bias(*own)[1] for own in maps]
    return torch.stack([weight for weight, _ in maps], out=stacked), torch.stack(biases)


def _with_bias(weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    return weight, weight.new_zeros(len(weight)) if bias is None else bias
