"""Samples a stream that is longer than the model's context."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from arbench.probability.density import Density
from arbench.probability.model import Model
from arbench.probability.samplers import OnSite


def sample_stream(
    model: Density,
    num_events: int,
    length: int,
    *,
    stride: int,
    generator: torch.Generator | None = None,
    prompt: Tensor | None = None,
    method: str = "auto",
    progress: OnSite | None = None,
    hear: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Sequences of any length from a model of windows.

    The first window is drawn as any event is, after the prompt. Then the last `context - stride`
    symbols are given and `stride` more are drawn: so every symbol follows at least so many that its
    model sees, wherever there are that many. Without a prompt and up to the context, this is plain
    sampling from the same generator.

    Args:
        model: of events `(context,)`.
        num_events: B.
        length: how many symbols to draw after the prompt, at least 1.
        stride: symbols per window after the first, from 1 to the context. At the context itself
            nothing is given, and windows are independent.
        generator: a CPU generator; the samples depend on it alone.
        prompt: `(P,)`, the same for all, or `(B, P)`.
        method: of `Model.sample`.
        progress: called with (symbols drawn, length).
        hear: called with all sequences as far as they are drawn; but for a `Model`, by windows.

    Returns:
        `(B, P + length)`, the prompt in front.

    Raises:
        ValueError: if the events are no sequences, a number is out of its range, the prompt is
            outside the domain, or the model's order does not go from first to last.
    """
    context = _require(model.spec.shape, length, stride)
    sequence = torch.zeros(num_events, 0, dtype=torch.int64)
    if prompt is not None:
        sequence = prompt.cpu().expand(num_events, prompt.shape[-1])
    num_given = sequence.shape[1]
    while (drawn := sequence.shape[1] - num_given) < length:
        # A window that begins with the sequence itself may be filled up; others move on by stride.
        is_first = sequence.shape[1] < context
        given = sequence if is_first else sequence[:, sequence.shape[1] - (context - stride) :]
        window = _window(model, given, generator, method, progress, drawn, length, hear, sequence)
        sequence = torch.cat([sequence.to(window.dtype), window[:, given.shape[1] :]], 1)
        if hear is not None:
            hear(sequence[:, : num_given + length])
    if progress is not None:
        progress(length, length)
    return sequence[:, : num_given + length]


def _require(shape: tuple[int, ...], length: int, stride: int) -> int:
    """The context of events of a shape, if they are sequences and the numbers fit."""
    if len(shape) != 1:
        raise ValueError(f"only sequences can be continued, not events of {shape}")
    (context,) = shape
    if length < 1 or not 1 <= stride <= context:
        raise ValueError(
            f"a length is at least 1 and a stride from 1 to the context of {context}, got length "
            f"{length} and stride {stride}"
        )
    return context


def _window(
    model: Density,
    given: Tensor,
    generator: torch.Generator | None,
    method: str,
    progress: OnSite | None,
    drawn: int,
    length: int,
    hear: Callable[[Tensor], None] | None,
    before: Tensor,
) -> Tensor:
    """One window `(B, context)` that begins with the given symbols `(B, G)`, on the CPU."""
    (context,) = model.spec.shape
    num_events, num_given = given.shape
    values = torch.zeros(num_events, context, dtype=given.dtype)
    values[:, :num_given] = given

    def advance(done: int, total: int) -> None:
        new = round(done / total * context) - num_given
        if progress is not None and new > 0:
            progress(min(drawn + new, length), length)

    def watch(sites: Tensor) -> OnSite:
        def on_site(done: int, total: int) -> None:
            if hear is not None:
                own = sites[:, num_given : min(done, num_given + length - drawn), 0].cpu()
                hear(torch.cat([before.to(own.dtype), own], 1))
            advance(done, total)

        return on_site

    return model.sample(
        num_events,
        generator=generator,
        method=method,
        given=values,
        known=torch.arange(context) < num_given,
        progress=advance,
        **({"watch": watch} if hear is not None and isinstance(model, Model) else {}),
    ).cpu()
