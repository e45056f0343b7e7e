"""Selective state spaces over all sites at once: products of matrices in chunks."""

from __future__ import annotations

import torch
from torch import Tensor

from arbench.networks.chunks import CHUNK, decays, in_chunks


def selective_scan(
    reads: Tensor,
    writes: Tensor,
    inputs: Tensor,
    log_factors: Tensor,
    state: Tensor,
    *,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """Outputs of `h_t = a_t h_{t-1} + b_t^T x_t`, `y_t = c_t h_t`, and the last state.

    Source: Dao and Gu, "Transformers are SSMs: generalized models and efficient algorithms through
    structured state space duality", ICML 2024, equation 2 and section 6, with one group of b and c
    for all heads. Deviation: the states at the ends of chunks come from a loop.

    Args:
        reads: c, `(B, T, N)`.
        writes: b, `(B, T, N)`.
        inputs: x, times the length of the step, `(B, heads, T, P)`.
        log_factors: logarithms of a, `(B, heads, T)`, at most 0.
        state: h before the first site, `(B, heads, N, P)`.
        chunk: sites per chunk; it changes nothing but rounding and speed.

    Returns:
        y, `(B, heads, T, P)`, and h after the last site.
    """
    num_sites = inputs.shape[2]
    chunk = min(chunk, num_sites)
    inputs = in_chunks(inputs, chunk)
    log_factors = in_chunks(log_factors.unsqueeze(-1), chunk)
    # One for all heads: an axis of length 1.
    reads, writes = (in_chunks(x, chunk).unsqueeze(1) for x in (reads, writes))
    left = decays(log_factors.squeeze(-1))
    since_start = log_factors.cumsum(-2).exp()
    to_end = left[..., -1, :].unsqueeze(-1)
    within = ((reads @ writes.mT) * left) @ inputs
    written = writes.mT @ (to_end * inputs)
    outputs = []
    for n in range(inputs.shape[2]):
        outputs.append(within[:, :, n] + since_start[:, :, n] * (reads[:, :, n] @ state))
        state = since_start[:, :, n, -1:] * state + written[:, :, n]
    return torch.cat(outputs, 2)[:, :, :num_sites], state
