"""`ArbenchLM`: a run on a text as a model of EleutherAI's lm-evaluation-harness (lm-eval).

`python -m arbench.lm_eval` is the harness's own command, with this model registered as `arbench`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from arbench.api.opening import open_run
from arbench.data.rendering import TextRendering
from arbench.data.streams import text_windows
from arbench.errors import ArbenchError, ConfigError
from arbench.measure.likelihood import evaluate_log_probs, evaluation_batch
from arbench.probability.heads.tempered import at_temperature
from arbench.probability.randomness import keyed_generator
from arbench.show.texts import draw_texts

try:
    # The harness: imports are absolute, so this module does not hide it.
    from lm_eval.__main__ import cli_evaluate
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
except ModuleNotFoundError as error:
    raise ConfigError(
        "arbench.lm_eval needs the lm-evaluation-harness: pip install 'arbench[lm-eval]'"
    ) from error

_UNSAID = "cuda:0"  # the device that the harness's command names where nobody names one
_GREEDY = 1e-3  # a temperature at which the likeliest symbol is all but certain
_MOST_SYMBOLS = 256  # that are generated where a task names no number; the harness's own default
_GENERATION = {"until", "max_gen_toks", "do_sample", "temperature"}


@register_model("arbench")
class ArbenchLM(LM):  # type: ignore[misc]  # it has no types
    """A run on a text, as the harness asks it.

    A text is scored through the windows of the run, as `arbench evaluate` scores a split: the
    first window whole, the others with at least `context - stride` symbols before each. So the
    bits per byte of a split, given as one document, are those of the record. The harness's own
    rolling windows overlap less; they are for models that begin with a token of their own.

    Args:
        run: what `arbench.load` takes: a folder, a name of the zoo or `hf:org/name`.
        device: where it is computed; none, or the harness's own `cuda:0`, is as `auto` in arbench.
        seed: of what is generated.
        batch_size: what the harness says; arbench chooses its own, which changes no number.
        max_batch_size: likewise.

    Raises:
        ConfigError: when `arbench.lm_eval` is imported and the harness is not installed, or if the
            run is on no text that is one long stream.
    """

    def __init__(
        self,
        run: str,
        *,
        device: str | None = None,
        seed: int = 0,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        opened = open_run(run, device="auto" if device in (None, _UNSAID) else device)
        if opened.windows is None or not isinstance(opened.rendering, TextRendering):
            raise ConfigError(
                f"{run} is a run on {opened.name.split('/')[0]}; expected one on a long text, such "
                "as shakespeare, enwik8 or text:PATH"
            )
        self._density, self._windows = opened.density, opened.windows
        self._rendering, self._seed = opened.rendering, seed

    def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
        """Log-probability of each text in nats; `args` of a request are `(text,)`."""
        return [self._of_text(self._encoded(request.args[0])) for request in requests]

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Log-probability of a continuation in nats, and whether each symbol is the likeliest.

        Args:
            requests: with `args` of `(context, continuation)`.

        Raises:
            ConfigError: if the model's order does not go from first to last.
        """
        layout = getattr(self._density, "layout", None)
        if layout is None or not layout.is_raster:
            raise ConfigError(
                "a continuation is scored by a single model that reads from first to last; this "
                "run has another order, or several"
            )
        return [self._of_continuation(*request.args) for request in requests]

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """What the model writes after each context, up to the first of the strings that end it.

        Args:
            requests: with `args` of `(context, {"until": [...], "max_gen_toks": 256, "do_sample":
                False, "temperature": 1.0})`. Without `do_sample` each symbol is the likeliest.

        Raises:
            ConfigError: for another way to sample, such as `top_p`.
        """
        return [self._generated(i, *request.args) for i, request in enumerate(requests)]

    def _encoded(self, text: str) -> Tensor:
        """Its symbols, `(N,)` int64."""
        try:
            return self._rendering.encode(text).long()
        except ValueError as error:
            raise ConfigError(f"a document has what the model cannot read: {error}") from error

    def _of_text(self, symbols: Tensor) -> float:
        """Log-probability of symbols `(N,)`."""
        if len(symbols) == 0:
            return 0.0
        split = text_windows(symbols, self._windows)
        return float(evaluate_log_probs(self._density, split).sum())

    @torch.no_grad()
    def _of_continuation(self, context: str, continuation: str) -> tuple[float, bool]:
        """Log-probability of a continuation, and whether it is greedy."""
        symbols, num_given = self._encoded(context + continuation), len(self._encoded(context))
        if len(symbols) == num_given:
            return 0.0, True
        split = text_windows(symbols, self._windows)
        places = text_windows(torch.arange(len(symbols)), self._windows).events
        assert split.scored is not None
        wanted = split.scored & (places >= num_given)
        rows = wanted.any(1).nonzero()[:, 0]
        total, is_greedy = 0.0, True
        for part in torch.split(rows, evaluation_batch(self._density)):
            events = split.events[part]
            log_probs = self._density.conditionals(events)[wanted[part]].cpu()  # type: ignore[attr-defined]
            values = events[wanted[part]].unsqueeze(-1)
            total += float(log_probs.gather(-1, values).double().sum())
            is_greedy &= bool((log_probs.argmax(-1, keepdim=True) == values).all())
        return total, is_greedy

    def _generated(self, index: int, context: str, settings: Mapping[str, Any]) -> str:
        """What comes after a context, without the string that ends it."""
        if unknown := {name for name, value in settings.items() if value is not None} - _GENERATION:
            raise ConfigError(
                f"arbench generates by {', '.join(sorted(_GENERATION))}; got "
                f"{', '.join(sorted(unknown))}"
            )
        until = settings.get("until") or []
        ends = [until] if isinstance(until, str) else list(until)
        temperature = settings.get("temperature")
        is_drawn = settings.get("do_sample", bool(temperature)) and temperature != 0
        (text,) = draw_texts(
            at_temperature(self._density, float(temperature or 1.0) if is_drawn else _GREEDY),
            self._rendering,
            1,
            stride=self._windows.stride,
            prompt=context,
            length=int(settings.get("max_gen_toks") or _MOST_SYMBOLS),
            generator=keyed_generator(self._seed, "generated", index),
        )
        written = text[len(context) :]
        return written[: min([len(written), *(p for end in ends if (p := written.find(end)) >= 0)])]


def _main() -> None:
    """The harness's command; a failure that was expected is a line, as in arbench's own."""
    try:
        cli_evaluate()
    except ArbenchError as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(failure.exit_code)


if __name__ == "__main__":
    _main()
