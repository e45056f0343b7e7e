"""The weights of GPT's blocks as its native step reads them; see `native.py`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from arbench.networks.native.memory import fresh_tensor
from arbench.networks.native.tiles import in_panels
from arbench_gpt.blocks import Block
from arbench_gpt.state import LinearWeights, fold, folded


def native_weights(
    blocks: Sequence[Block], norm: nn.LayerNorm, outputs: nn.Linear, *, rotary: bool, panels: bool
) -> tuple[tuple[Tensor, Tensor], ...]:
    """Weight and bias of each map, those of all blocks stacked; the last is that of the outputs.

    Args:
        blocks: from first to last.
        norm: before the outputs.
        outputs: to the parameters of a site.
        rotary: whether queries and keys are turned.
        panels: whether several events go through the blocks together; see `in_panels`.
    """
    maps = block_weights(blocks, rotary=rotary)
    if panels:
        maps = tuple((in_panels(weights), biases) for weights, biases in maps)
    return *maps, _with_bias(*fold(norm, outputs))


def block_weights(blocks: Sequence[Block], *, rotary: bool) -> tuple[tuple[Tensor, Tensor], ...]:
    """The same without the last map, and not in panels."""
    maps = zip(*(folded(block, rotary) for block in blocks), strict=True)
    return tuple(map(_stacked, maps))


def _stacked(maps: Sequence[LinearWeights]) -> tuple[Tensor, Tensor]:
    """The maps of all blocks, `(L, outputs, inputs)` in huge pages, and biases `(L, outputs)`."""
    stacked = fresh_tensor((len(maps), *maps[0][0].shape), maps[0][0])
    biases = [_with_bias(*own)[1] for own in maps]
    return torch.stack([weight for weight, _ in maps], out=stacked), torch.stack(biases)


def _with_bias(weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    return weight, weight.new_zeros(len(weight)) if bias is None else bias
