"""Draws texts from a model (`--prompt`, `--length`)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from arbench.data.rendering import TextRendering
from arbench.errors import ConfigError
from arbench.probability.continuation import sample_stream
from arbench.probability.density import Density
from arbench.probability.samplers import OnSite

_DEFAULT_LENGTH = 500


def draw_texts(
    model: Density,
    rendering: TextRendering,
    num_texts: int,
    *,
    stride: int,
    prompt: str = "",
    length: int | None = None,
    generator: torch.Generator | None = None,
    method: str = "auto",
    progress: OnSite | None = None,
    hear: Callable[[str], None] | None = None,
) -> list[str]:
    """Texts, each with the prompt in front.

    Beyond the model's context the window moves on by the stride, or by half the context
    if the two are equal; see `sample_stream`.

    Args:
        model: of a run on texts.
        rendering: of that run's task.
        num_texts: how many.
        stride: symbols from one window to the next, at most the context.
        prompt: what they begin with.
        length: symbols to draw after the prompt, 500 by default; None where events end by
            themselves.
        generator: the texts depend on it alone.
        method: which sampler.
        progress: called with (symbols drawn, length).
        hear: called with the first text in parts, while it is drawn.

    Raises:
        ConfigError: if the prompt has a character that its task has not,
            or another argument does not fit.
    """
    context, heard = model.spec.num_dims, None if hear is None else _Speaker(rendering, hear)
    try:
        given = rendering.encode(prompt).long()
    except ValueError as error:
        raise ConfigError(f"the prompt: {error}") from error
    try:
        if rendering.end is not None:
            length = _to_the_end(given, rendering.end, context, length)
        drawn = sample_stream(
            model,
            num_texts,
            _DEFAULT_LENGTH if length is None else length,
            stride=stride if stride < context else max(1, context // 2),
            generator=generator,
            prompt=given,
            method=method,
            progress=progress,
            hear=heard,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    texts = [rendering.decode(text) for text in drawn]
    if heard is not None:
        heard.end(texts[0])
    return texts


def _to_the_end(given: Tensor, end: int, context: int, length: int | None) -> int:
    """How many symbols are left of an event that ends by itself."""
    if length is not None:
        raise ValueError("these texts end by themselves: leave out the length")
    if len(given) >= context or end in given.tolist():
        raise ValueError(
            f"the prompt: expected the beginning of a text of at most {context - 1} characters and "
            "an end"
        )
    return context - len(given)


class _Speaker:
    """Says of the first of some texts what is new; a character whose bytes are not all there waits.

    Args:
        rendering: of the texts.
        hear: what it is said to.
    """

    def __init__(self, rendering: TextRendering, hear: Callable[[str], None]) -> None:
        self._rendering, self._hear = rendering, hear
        self._said = 0

    def __call__(self, drawn: Tensor) -> None:
        """Say what is new of texts `(B, ...)`."""
        self.end(self._rendering.decode(drawn[0]).rstrip("\ufffd"))

    def end(self, text: str) -> None:
        """Say what is new of a text."""
        if len(text) > self._said:
            self._hear(text[self._said :])
            self._said = len(text)
