"""Diagonal linear state spaces, one per channel, over all sites at once: a convolution."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn


class DiagonalStateSpace(nn.Module):
    """`x' = A x + u, y = 2 Re(C x) + D u` for each channel, with A diagonal and complex.

    If the input is constant over a step of length s, this is the recurrence `x_t = exp(s A)
    x_{t-1} + u_t` with `y_t = 2 Re(C (exp(s A) - 1) / A x_t) + D u_t`. (Because A is diagonal, the
    factor of the input can move to the output.) From x = 0 it is a convolution with the kernel
    `K_l = 2 Re(C (exp(s A) - 1) / A exp(l s A))`, computed by FFT.

    Source: Gu, Gupta, Goel and Ré, "On the parameterization and initialization of diagonal state
    space models", NeurIPS 2022 (S4D-Lin and S4D-Inv; zero-order hold, real parts -exp, conjugate
    pairs, B fixed to 1). Deviations: C starts with variance 1 and D standard normal, as in the
    authors' code.

    Args:
        channels: H.
        num_states: N, even; a conjugate pair is stored as one state.
        init: how A starts: "lin" is `-1/2 + i pi n`, "inv" is `-1/2 + i N / pi (N / (2n + 1) - 1)`.
        shortest: the smallest step size; each channel draws one, uniformly in its logarithm.
        longest: the largest step size.
    """

    def __init__(
        self,
        channels: int,
        num_states: int,
        *,
        init: Literal["lin", "inv"],
        shortest: float,
        longest: float,
    ) -> None:
        super().__init__()
        half = num_states // 2
        n = torch.arange(half)
        if init == "lin":
            frequencies = math.pi * n
        else:
            frequencies = num_states / math.pi * (num_states / (2 * n + 1) - 1)
        log_range = math.log(longest / shortest)
        self.log_step = nn.Parameter(math.log(shortest) + log_range * torch.rand(channels, 1))
        self.log_decay = nn.Parameter(torch.full((channels, half), math.log(0.5)))
        self.frequency = nn.Parameter(frequencies.repeat(channels, 1))
        # Real and imaginary parts: not all optimisers and files support complex numbers.
        self.readout = nn.Parameter(torch.randn(channels, half, 2) * 0.5**0.5)
        self.skip = nn.Parameter(torch.randn(channels))

    def discrete(self) -> tuple[Tensor, Tensor]:
        """Logarithms of the factors of the recurrence and its readout, `(H, N / 2)` complex."""
        rate = torch.complex(-self.log_decay.exp(), self.frequency)
        log_factor = self.log_step.exp() * rate
        # expm1: the steps are short, and 1 - exp would lose digits.
        return log_factor, torch.view_as_complex(self.readout) * log_factor.expm1() / rate

    def kernel(self, length: int) -> Tensor:
        """K, `(H, T)`.

        Powers 0 to T - 1 are products of about sqrt(T) small and sqrt(T) large powers. So the sums
        over states are a product of two matrices per channel.
        """
        log_factor, readout = self.discrete()
        piece = math.isqrt(length - 1) + 1
        ones = torch.arange(piece, device=readout.device)
        pieces = torch.arange(-(-length // piece), device=readout.device) * piece
        within = (log_factor.unsqueeze(-1) * ones).exp()
        starts = (log_factor.unsqueeze(-1) * pieces).exp() * readout.unsqueeze(-1)
        left = torch.cat((starts.real, -starts.imag), 1).mT
        right = torch.cat((within.real, within.imag), 1)
        return 2 * (left @ right).flatten(1)[:, :length]

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs y `(B, T, H)` of inputs u `(B, T, H)`, in float32 or wider."""
        with torch.autocast(inputs.device.type, enabled=False):
            inputs = inputs.to(self.skip.dtype).mT.contiguous()
            length = inputs.shape[-1]
            # Twice as long, because an FFT convolves in a circle.
            spectrum = torch.fft.rfft(inputs, 2 * length)
            spectrum = spectrum * torch.fft.rfft(self.kernel(length), 2 * length)
            outputs = torch.fft.irfft(spectrum, 2 * length)[..., :length]
            return torch.addcmul(outputs, inputs, self.skip.unsqueeze(-1)).mT
