"""Chooses among the alternatives of a recipe, on validation.

No one setting suits every set: where some want a strong decay, others want none. So a recipe may
offer alternatives, and a run trains all of them and goes on with the best.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from accelerate import Accelerator

from arbench.data.dataset import Dataset
from arbench.errors import ConfigError, Diverged, Interrupted
from arbench.files.atomic import make_folder, write_text
from arbench.runs.config import RunConfig, require_combination
from arbench.runs.folder import RunFolder
from arbench.show.reporting import Advance, Reporter
from arbench.training.checkpoints import CheckpointStore, Progress

# Trains a configuration in a folder, from wherever it stands there to the end.
Train = Callable[[RunConfig, RunFolder], Progress]


def select(
    config: RunConfig,
    dataset: Dataset,
    folder: RunFolder,
    train: Train,
    accelerator: Accelerator,
    reporter: Reporter,
) -> RunConfig:
    """The configuration with the alternative that is best on validation; test is not looked at.

    Each is trained as a run of its own would train it, in a folder below the run's checkpoint. So a
    run that is stopped goes on where it was. The choice is written into `config.json`; the run then
    goes on from the checkpoint of what was chosen, which has nothing left to train. Should that be
    lost, the same training gives the same weights.

    Args:
        config: of a recipe with alternatives; one that says what was tried has been chosen.
        dataset: what it or another setting refuses is left out, such as a second order of padding.
        folder: of the run, which is held.
        train: trains one of them.
        accelerator: what processes there are.
        reporter: who watches.

    Raises:
        ConfigError: if all are refused.
        Diverged: if all that are trained do.
        Interrupted: after a stop signal, with a checkpoint written.
    """
    if config.tried:
        return config
    offers = _offers(config, dataset)
    tried: dict[str, float | None] = {}
    seconds = 0.0
    for name, offer in offers.items():
        if accelerator.is_main_process:
            reporter.say(f"try     {name}, alternative {len(tried) + 1} of {len(offers)}")
        try:
            progress = train(offer, _place(folder, name))
            tried[name] = progress.best_nats
            seconds += progress.elapsed_s
        except Diverged:
            tried[name] = None
        except Interrupted as error:
            how = f"interrupted; continue with `arbench resume {folder.path}`"
            raise Interrupted(how, error.exit_code - 128) from error
    found = [(nats, name) for name, nats in tried.items() if nats is not None]
    if not found:
        raise Diverged("every alternative of the recipe diverged; set a smaller learning_rate")
    nats, name = min(found)
    chosen = offers[name].model_copy(update={"tried": tried})
    if accelerator.is_main_process:
        reporter.say(f"chosen  {name}: {nats:.4f} nats on validation")
        write_begun(folder, chosen)
        _hand_over(_place(folder, name), folder, seconds)
    accelerator.wait_for_everyone()
    return chosen


def _offers(config: RunConfig, dataset: Dataset) -> dict[str, RunConfig]:
    """The alternatives by name, without those that the data or another setting refuse.

    Raises:
        ConfigError: if all are refused.
    """
    offers, refusals = {}, []
    for name in config.recipe.alternatives:
        offer = config.alternative(name)
        try:
            require_combination(offer)
            dataset.require_likelihood(offer.model, offer.layouts)
            offers[name] = offer
        except ConfigError as error:
            refusals.append(error)
    if not offers:
        raise refusals[0]
    return offers


def write_begun(folder: RunFolder, config: RunConfig) -> None:
    """Write the configuration of a training into its folder."""
    make_folder(folder.path)
    write_text(folder.config, json.dumps(config.model_dump(mode="json"), indent=1) + "\n")


def _place(folder: RunFolder, name: str) -> RunFolder:
    """Where an alternative is trained."""
    return RunFolder(folder.checkpoint / name)


def _hand_over(place: RunFolder, folder: RunFolder, seconds: float) -> None:
    """Let a run go on from the checkpoint of an alternative, if it left one: a `fit` does not."""
    loaded = CheckpointStore(place.checkpoint).load()
    if loaded is not None:
        progress, tensors, _ = loaded
        shutil.copyfile(place.metrics, folder.metrics)
        CheckpointStore(folder.checkpoint).save(replace(progress, elapsed_s=seconds), tensors)


class BarsAlone(Reporter):
    """Shows the bars of another reporter, and says nothing."""

    def __init__(self, other: Reporter) -> None:
        self._other = other

    @contextmanager
    def bar(self, title: str, *, live: bool = True) -> Iterator[Advance]:
        """A bar of the other reporter."""
        with self._other.bar(title, live=live) as advance:
            yield advance
