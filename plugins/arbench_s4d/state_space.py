"""Diagonal linear state spaces, one per channel, over all sites at once: a convolution."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn


class DiagonalStateSpace(nn.Module):
    """`x' = A x + u, y = 2 Re(C x) + D u` for each channel, A diagonal and complex, in steps.

    Held constant over a step of length s, the input makes of it the recurrence `x_t = exp(s A)
    x_{t-1} + u_t` with `y_t = 2 Re(C (exp(s A) - 1) / A x_t) + D u_t`, where a diagonal lets the
    factor of the input move to the output. From x = 0 that is a convolution with the kernel
    `K_l = 2 Re(C (exp(s A) - 1) / A exp(l s A))`, done by FFT.

    Source: Gu, Gupta, Goel and Ré, "On the parameterization and initialization of diagonal state
    space models", NeurIPS 2022 (S4D-Lin and S4D-Inv; zero-order hold, real parts -exp, conjugate
    pairs, B fixed to 1). Deviations: C starts with a variance of 1, D standard
    normal, as in the authors' code.

    Args:
        channels: H.
        num_states: N, of which conjugate pairs are kept as one; even.
        init: of A: "lin" is `-1/2 + i pi n`, "inv" is `-1/2 + i N / pi (N / (2n + 1) - 1)`.
        shortest: the least of the steps, spread evenly in logarithm over the channels at random.
        longest: the largest.
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
        # Real and imaginary parts: not every optimiser and file knows complex numbers.
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

        Powers 0 to T - 1 are products of about sqrt(T) small and sqrt(T) large ones, and the sums
        over states products of two matrices per channel.
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
            # Twice as long, so that what goes round falls on zeros.
            spectrum = torch.fft.rfft(inputs, 2 * length)
            spectrum = spectrum * torch.fft.rfft(self.kernel(length), 2 * length)
            outputs = torch.fft.irfft(spectrum, 2 * length)[..., :length]
            return torch.addcmul(outputs, inputs, self.skip.unsqueeze(-1)).mT
