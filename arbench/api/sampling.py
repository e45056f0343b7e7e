"""`arbench.sample` and `arbench.sample_texts`: draw events or texts from a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from arbench.api.loading import load
from arbench.data.rendering import TextRendering
from arbench.data.tasks import open_task as open_task
from arbench.errors import ConfigError
from arbench.hub.finding import find_run
from arbench.probability.continuation import sample_stream
from arbench.probability.density import Density
from arbench.probability.foreign import ForeignDensity as ForeignDensity
from arbench.probability.heads.tempered import at_temperature
from arbench.probability.precision import Weights
from arbench.probability.randomness import keyed_generator
from arbench.probability.samplers import OnSite
from arbench.runs.loading import read_config
from arbench.show.notebooks.bars import progress_or_bar
from arbench.show.texts import draw_texts


def sample(
    model: Density | str | Path,
    num_events: int,
    *,
    seed: int = 0,
    method: str = "auto",
    given: Tensor | None = None,
    known: Tensor | None = None,
    temperature: float | None = None,
    length: int | None = None,
    progress: OnSite | None = None,
) -> Tensor:
    """Events drawn from a model, `(num_events, *event_shape)`; see `Model.sample`.

    With `given` and `known` they complete an event; a model that answers for any order completes
    any set of known dims (see `Model.completing`).

    The model is a density, or what `load` takes; of an unfinished run it is the last checkpoint. A
    `temperature` divides the logits; below 1 likely values become likelier. With a `length`,
    sequences such as sounds have so many values, `(num_events, length)`: beyond the model's context
    each next half of it is drawn given the half before.

    Raises:
        ConfigError: if there is no event to draw, the model has no such sampler or no temperature,
            or what is given is no prefix in its order and its network answers for no other.
    """
    density = load(model, unfinished=True) if isinstance(model, str | Path) else model
    generator = keyed_generator(seed, "samples")
    with progress_or_bar(progress) as said:
        try:
            tempered = at_temperature(density, temperature)
            if length is not None:
                if given is not None:
                    raise ValueError(
                        "a length is for what is drawn from its beginning, not completed"
                    )
                return sample_stream(
                    tempered,
                    num_events,
                    length,
                    stride=max(1, density.spec.num_dims // 2),
                    generator=generator,
                    method=method,
                    progress=said,
                )
            return tempered.sample(
                num_events,
                generator=generator,
                method=method,
                given=given,
                known=known,
                progress=said,
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error


def sample_texts(
    path: str | Path,
    num_texts: int = 1,
    *,
    prompt: str = "",
    length: int | None = None,
    temperature: float | None = None,
    seed: int = 0,
    method: str = "auto",
    device: str = "cpu",
    weights: Weights = "float32",
    progress: OnSite | None = None,
    hear: Callable[[str], None] | None = None,
) -> list[str]:
    """Texts drawn from a run on texts, each with the prompt in front; see `draw_texts`.

    A `temperature` divides the logits; below 1 likely symbols become likelier. `hear` is called
    with the first text bit by bit while it is drawn. For `weights` see `load`.

    Raises:
        ConfigError: if the run is on no text, the prompt has a character that its task has not,
            or another argument does not fit.
    """
    folder = find_run(path)
    config = read_config(folder)
    density = load(folder, device=device, unfinished=True, weights=weights)
    if not isinstance(rendering := config.shown, TextRendering):
        raise ConfigError(f"the run is on {config.task}, which is not a text")
    try:
        model = at_temperature(density, temperature)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    with progress_or_bar(progress) as said:
        return draw_texts(
            model,
            rendering,
            num_texts,
            stride=config.recipe.stream.stride,
            prompt=prompt,
            length=length,
            generator=keyed_generator(seed, "samples"),
            method=method,
            progress=said,
            hear=hear,
        )
