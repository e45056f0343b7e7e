"""The gated delta rule over all sites at once: products of matrices in chunks."""

from __future__ import annotations

import torch
from torch import Tensor

from arbench.networks.chunks import CHUNK, decays, in_chunks


def delta_rule(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    strengths: Tensor,
    log_factors: Tensor,
    memory: Tensor,
    *,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """Outputs of `S_t = a_t S_{t-1} + k_t^T u_t`, `o_t = q_t S_t`, and the last memory.

    What is written, `u_t = b_t (v_t - a_t k_t S_{t-1})`, corrects what the memory says of the key.
    With a triangular system per chunk for the u of its sites, all else are products of matrices.

    Source: Yang, Kautz and Hatamizadeh, "Gated delta networks: improving Mamba2 with delta rule",
    ICLR 2025, equation 10, here with memories transposed; the chunks are those of its section 3.3,
    with the triangular system of Yang et al., "Parallelizing linear transformers with the delta
    rule over sequence length", NeurIPS 2024, solved and not inverted.

    Args:
        queries: q, `(B, heads, T, K)`.
        keys: k, `(B, heads, T, K)`, of length 1 at most.
        values: v, `(B, heads, T, V)`.
        strengths: b, `(B, heads, T)` in [0, 1].
        log_factors: logarithms of a, `(B, heads, T)`, at most 0.
        memory: S before the first site, `(B, heads, K, V)`.
        chunk: sites per chunk; it changes nothing but rounding and speed.

    Returns:
        o, `(B, heads, T, V)`, and S after the last site.
    """
    num_sites = values.shape[2]
    chunk = min(chunk, num_sites)
    queries, keys, values = (in_chunks(x, chunk) for x in (queries, keys, values))
    strengths, log_factors = (in_chunks(x.unsqueeze(-1), chunk) for x in (strengths, log_factors))
    left = decays(log_factors.squeeze(-1))
    since_start = log_factors.cumsum(-2).exp()
    to_end = left[..., -1, :].unsqueeze(-1)
    # u = b v - b (a ... a k) S - (corrections of earlier sites of the chunk)
    corrections = (strengths * (keys @ keys.mT) * left).tril(-1)
    right = torch.cat((strengths * values, strengths * since_start * keys), -1)
    solved = torch.linalg.solve_triangular(corrections, right, upper=False, unitriangular=True)
    fresh, reads = solved.split((values.shape[-1], keys.shape[-1]), -1)
    scores = (queries @ keys.mT) * left
    queries, keys = queries * since_start, keys * to_end
    outputs = []
    for n in range(values.shape[2]):
        written = fresh[:, :, n] - reads[:, :, n] @ memory
        outputs.append(queries[:, :, n] @ memory + scores[:, :, n] @ written)
        memory = since_start[:, :, n, -1:] * memory + keys[:, :, n].mT @ written
    return torch.cat(outputs, 2)[:, :, :num_sites], memory
