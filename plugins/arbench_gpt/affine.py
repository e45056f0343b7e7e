"""Linear maps of a few rows at a time, as sampling needs them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Below this, a plain product is faster: its operands fit into a core's own cache.
_SMALLEST_PACKED = 1 << 17


class Affine:
    """`x W + b`, alone or fused with the next operation, for a small number of rows x.

    A product with few rows takes as long as reading W, and torch's product first rearranges W at
    every call. So on a CPU, in float32, oneDNN packs large weights once, through the operators
    that `torch.compile` uses when it freezes weights.

    Args:
        weight: `(outputs, inputs)`; must not change afterwards.
        bias: `(outputs,)`, or None.
        num_rows: B.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, num_rows: int) -> None:
        self.bias = bias
        packs = (
            weight.device.type == "cpu"
            and weight.dtype == torch.float32
            and weight.numel() >= _SMALLEST_PACKED
            and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        )
        self.packed: Tensor | None = None
        if packs:
            self.linear = torch.ops.mkldnn._linear_pointwise
            reorder = torch.ops.mkldnn._reorder_linear_weight
            self.packed = reorder(weight.contiguous(), num_rows)
        else:
            self.weight = weight.T.contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """`x W + b`, `(B, outputs)`."""
        if self.packed is not None:
            product: Tensor = self.linear(x, self.packed, self.bias, "none", [], "")
            return product
        return x @ self.weight if self.bias is None else torch.addmm(self.bias, x, self.weight)

    def gelu(self, x: Tensor) -> Tensor:
        """`gelu(x W + b)`, `(B, outputs)`."""
        if self.packed is not None:
            product: Tensor = self.linear(x, self.packed, self.bias, "gelu", [], "none")
            return product
        return F.gelu(self(x))

    def add_to(self, stream: Tensor, x: Tensor) -> Tensor:
        """`stream + x W + b`, `(B, outputs)`; the stream may be overwritten."""
        if self.packed is not None:
            total: Tensor = self.linear.binary(x, stream, self.packed, self.bias, "add")
            return total
        stream.addmm_(x, self.weight)
        return stream if self.bias is None else stream.add_(self.bias)
