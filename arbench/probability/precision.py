"""How a density is evaluated: dropout off, float32 without TF32, the widest float type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.backends import cuda, cudnn, mkldnn

# Type checkers do not see these: torch makes them at run time.
_CUDA, _CUDNN, _MKLDNN = cast(tuple[Any, ...], (cuda, cudnn, mkldnn))
_OPERATIONS = (
    _CUDA.matmul,
    _CUDNN.conv,
    _CUDNN.rnn,
    _MKLDNN.matmul,
    _MKLDNN.conv,
    _MKLDNN.rnn,
)


def widest_dtype(device: torch.device) -> torch.dtype:
    """float64, or float32 on Apple's MPS, which has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def widen(tensor: Tensor) -> Tensor:
    """The tensor in the widest floating-point type of its device."""
    return tensor.to(widest_dtype(tensor.device))


Weights = Literal["float32", "bfloat16", "int8"]  # what the weights of a network are rounded to


@torch.no_grad()
def round_weights(module: nn.Module, weights: Weights) -> None:
    """Round the parameters of a module in place to what fewer bits can hold.

    Their type stays, so all that the module computes is of the rounded network: another density,
    with samples and a likelihood of its own.

    Args:
        module: a density, or a network.
        weights: "bfloat16" rounds every parameter to 8 significant bits. "int8" rounds each row of
            a matrix, that of an output, to multiples of its largest weight over 127, and leaves
            vectors, such as biases, as they are. "float32" leaves all.
    """
    for parameter in module.parameters():
        if weights == "bfloat16":
            parameter.copy_(parameter.bfloat16())
        elif weights == "int8" and parameter.dim() > 1:
            rows = parameter.flatten(1)
            scale = rows.abs().amax(1, keepdim=True) / 127
            rounded = torch.where(scale > 0, (rows / scale).round() * scale, rows)
            parameter.copy_(rounded.view_as(parameter))


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Dropout and the like are off, and float32 is float32; at the end all is as it was before.

    On recent GPUs torch's convolutions and recurrent layers round their factors to 11 bits unless
    told otherwise (TF32), and a user may have allowed it, or less, for the other products. That is
    good for training; a likelihood would differ from one device to the next in its fourth digit.
    So float32 products keep their 24 bits for the duration, on every device.

    Args:
        module: whose submodules are put in evaluation mode.
    """
    # A sample may take less time than to set what is set already.
    in_training = [part for part in module.modules() if part.training]
    precisions = [(operation, operation.fp32_precision) for operation in _OPERATIONS]
    others = [(operation, precision) for operation, precision in precisions if precision != "ieee"]
    for part in in_training:
        part.training = False
    for operation, _ in others:
        operation.fp32_precision = "ieee"
    try:
        yield
    finally:
        for operation, precision in others:
            operation.fp32_precision = precision
        for part in in_training:
            part.training = True
