"""The transformer block, and rotary positions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.dropout import unit_dropout

MLP = Literal["gelu", "swiglu"]


class Block(nn.Module):
    """`x + attention(norm(x))`, then `x + mlp(norm(x))`.

    Args:
        width: H.
        num_heads: of the attention.
        mlp: "gelu" is `W_2 gelu(W_1 x)` with 4 H hidden units; "swiglu" is
            `W_2 (silu(W_1 x) * V x)` with two thirds as many units, so with as many weights.
        bias: whether linear maps and norms have biases.
    """

    def __init__(self, width: int, num_heads: int, mlp: MLP, bias: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.gated = mlp == "swiglu"
        self.hidden = 8 * -(-width // 3) if self.gated else 4 * width
        self.attention_norm = nn.LayerNorm(width, bias=bias)
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.mix = nn.Linear(width, width, bias=bias)
        self.mlp_norm = nn.LayerNorm(width, bias=bias)
        self.up = nn.Linear(width, (1 + self.gated) * self.hidden, bias=bias)
        self.down = nn.Linear(self.hidden, width, bias=bias)

    def forward(
        self,
        values: Tensor,
        turns: tuple[Tensor, Tensor] | None,
        dropout: float,
        first: int = 0,
    ) -> Tensor:
        """The residual stream after the block.

        Args:
            values: `(B, T, H)`.
            turns: from `rotary_turns`, or None.
            dropout: probability that a training step drops a unit of a branch's output.
            first: of the sites that are wanted; the ones before are read, and no more.

        Returns:
            `(B, T - first, H)`.
        """
        normed = self.attention_norm(values)
        attended = self._attend_last(normed, turns, first) if first else self._attend(normed, turns)
        values = values[:, first:] + unit_dropout(self.mix(attended), dropout, self.training)
        hidden = self.up(self.mlp_norm(values))
        hidden = swiglu(hidden) if self.gated else F.gelu(hidden)
        return values + unit_dropout(self.down(hidden), dropout, self.training)

    def _attend(self, values: Tensor, turns: tuple[Tensor, Tensor] | None) -> Tensor:
        by_head = self.qkv(values).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = by_head.permute(2, 0, 3, 1, 4).unbind(0)
        if turns is not None:
            query, key = (rotate(x, *turns).to(value.dtype) for x in (query, key))
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return attended.transpose(1, 2).flatten(2)

    def _attend_last(
        self, values: Tensor, turns: tuple[Tensor, Tensor] | None, first: int
    ) -> Tensor:
        """`_attend` with queries from the site `first` on, `(B, T - first, H)`."""
        size, width = values.shape[:2], values.shape[-1]
        weight, bias = self.qkv.weight, self.qkv.bias
        biases = (None, None) if bias is None else (bias[:width], bias[width:])
        query = F.linear(values[:, first:], weight[:width], biases[0])
        query = query.view(size[0], -1, self.num_heads, width // self.num_heads).transpose(1, 2)
        rest = F.linear(values, weight[width:], biases[1]).view(*size, 2, self.num_heads, -1)
        key, value = rest.permute(2, 0, 3, 1, 4).unbind(0)
        if turns is not None:
            own = [turn[first:] for turn in turns]
            query, key = rotate(query, *own).to(value.dtype), rotate(key, *turns).to(value.dtype)
        seen = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=values.device)
        mask = seen.tril(first)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return attended.transpose(1, 2).flatten(2)


def rotary_turns(num_sites: int, head_dim: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines `(T, head_dim / 2)` of the angles by which pairs of units turn.

    At site t, pair i turns by `t * 10000^(-2 i / head_dim)`.

    Source: Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021,
    equations 14 and 15. Deviation: a pair is units i and i + head_dim / 2, not neighbours; that
    only renames units.

    Args:
        num_sites: T.
        head_dim: even.
        like: gives the dtype and the device.
    """
    options = {"dtype": like.dtype, "device": like.device}
    exponents = torch.arange(0, head_dim, 2, **options) / head_dim  # type: ignore[call-overload]
    sites = torch.arange(num_sites, **options)  # type: ignore[call-overload]
    angles = torch.outer(sites, 10000.0**-exponents)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Queries or keys `(..., T, head_dim)` with every pair turned by its angle."""
    # A head's few units lie far from those of its next site: put them together once, not at every
    # one of the products.
    first, second = x.contiguous().chunk(2, -1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), -1)


def swiglu(hidden: Tensor) -> Tensor:
    """`silu(a) * b` of `(..., 2 F)`, the halves of which are a and b."""
    gates, units = hidden.chunk(2, -1)
    return F.silu(gates) * units
