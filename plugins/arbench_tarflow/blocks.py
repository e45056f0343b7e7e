"""The block of TarFlow: an affine map of each patch, whose numbers a causal transformer gives."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench_tarflow.state import TarFlowState


class Layer(nn.Module):
    """A transformer layer: `x + attention(norm(x))`, then `x + mlp(norm(x))`.

    Args:
        width: H.
        num_heads: of the attention.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, units: Tensor) -> Tensor:
        """Units `(B, T, H)` after the layer; those of a patch see it and earlier ones."""
        query, key, value = self._by_head(units)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self._mixed(units, attended)

    def step(self, units: Tensor, keys: Tensor, values: Tensor, place: int) -> Tensor:
        """Units `(B, 1, H)` of one patch; its key and value are put into the cache."""
        query, key, value = self._by_head(units)
        keys[:, :, place], values[:, :, place] = key[:, :, 0], value[:, :, 0]
        seen = slice(place + 1)
        attended = F.scaled_dot_product_attention(query, keys[:, :, seen], values[:, :, seen])
        return self._mixed(units, attended)

    def _by_head(self, units: Tensor) -> Tensor:
        """Queries, keys and values `(3, B, heads, T, head_dim)`."""
        size = (*units.shape[:2], 3, self.num_heads, -1)
        by_head: Tensor = self.qkv(self.attention_norm(units)).view(size)
        return by_head.permute(2, 0, 3, 1, 4)

    def _mixed(self, units: Tensor, attended: Tensor) -> Tensor:
        units = units + self.mix(attended.transpose(1, 2).flatten(2))
        mixed: Tensor = units + self.mlp(units)
        return mixed


class Block(nn.Module):
    """`z_t = (x_t - mu_t) exp(-alpha_t)`, with mu and alpha of the patches before t; `z_1 = x_1`.

    "Before" is meant in the block's own order, which is that of the image or the other way round.
    It starts as the identity: the last weights are zero.

    Source: Zhai et al., "Normalizing Flows are Capable Generative Models", 2024, section 2.2.
    Deviations: the last biases start at zero, as the last weights do; alpha is read from normalised
    units, and so has a bound. Without one it grows with the patches, and an event far from the data
    overflows.

    Args:
        num_patches: T.
        patch_dim: C.
        width: H.
        num_layers: of the transformer.
        num_heads: of its attention.
        is_reversed: whether the last patch comes first.
    """

    def __init__(
        self,
        num_patches: int,
        patch_dim: int,
        *,
        width: int,
        num_layers: int,
        num_heads: int,
        is_reversed: bool,
    ) -> None:
        super().__init__()
        self.num_heads, self.is_reversed = num_heads, is_reversed
        self.enter = nn.Linear(patch_dim, width)
        # Of all patches but the last, which no other sees.
        self.positions = nn.Parameter(0.01 * torch.randn(num_patches - 1, width))
        self.layers = nn.ModuleList([Layer(width, num_heads) for _ in range(num_layers)])
        self.means = nn.Linear(width, patch_dim)
        self.norm = nn.LayerNorm(width)
        self.log_scales = nn.Linear(width, patch_dim)
        for last in (self.means, self.log_scales):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """The block's output, all patches at once.

        Args:
            patches: `(B, T, C)` in raster order.

        Returns:
            `(B, T, C)` in raster order, and `log |det|`, `(B,)` nats.
        """
        patches = self._turned(patches)
        means, log_scales = self._numbers(patches[:, :-1])
        rest = (patches[:, 1:] - means) * (-log_scales).exp()
        return self._turned(torch.cat((patches[:, :1], rest), 1)), -log_scales.flatten(1).sum(1)

    def inverse(self, outputs: Tensor) -> Tensor:
        """The patches `(B, T, C)` that have these outputs: one after the other, with a cache."""
        patches = list(torch.split(self._turned(outputs), 1, 1))
        state = self._init_state(outputs)
        for place in range(len(patches) - 1):
            units = self.enter(patches[place]) + self.positions[place]
            for layer, keys, values in zip(self.layers, state.keys, state.values, strict=True):
                assert isinstance(layer, Layer)
                units = layer.step(units, keys, values, place)
            means, log_scales = self._read(units)
            patches[place + 1] = patches[place + 1] * log_scales.exp() + means
        return self._turned(torch.cat(patches, 1))

    def inverse_whole(self, outputs: Tensor) -> Tensor:
        """The same by the definition: the whole transformer once for every patch."""
        patches = self._turned(outputs).clone()
        for place in range(1, patches.shape[1]):
            means, log_scales = self._numbers(patches[:, :-1])
            before = place - 1
            patches[:, place] = patches[:, place] * log_scales[:, before].exp() + means[:, before]
        return self._turned(patches)

    def _numbers(self, before: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers mu and alpha, `(B, T - 1, C)` each, of all patches but the first."""
        units = self.enter(before) + self.positions
        for layer in self.layers:
            units = layer(units)
        return self._read(units)

    def _read(self, units: Tensor) -> tuple[Tensor, Tensor]:
        """Mu and alpha of the patches after those of the units."""
        return self.means(units), self.log_scales(self.norm(units))

    def _turned(self, patches: Tensor) -> Tensor:
        """Raster order as the block's own, or back."""
        return patches.flip(1) if self.is_reversed else patches

    def _init_state(self, outputs: Tensor) -> TarFlowState:
        length, width = self.positions.shape
        shape = (len(outputs), self.num_heads, length, width // self.num_heads)
        keys, values = (tuple(outputs.new_empty(shape) for _ in self.layers) for _ in range(2))
        return TarFlowState(keys, values)
