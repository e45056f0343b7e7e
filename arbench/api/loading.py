"""`load` and `download`: a trained run by its name; `untrained`: a model before training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from torch import nn

from arbench.data.tasks import open_task as open_task
from arbench.errors import ConfigError
from arbench.hub.finding import find_run
from arbench.probability.density import Density
from arbench.probability.flows.flow import is_flow
from arbench.probability.foreign import ForeignDensity as ForeignDensity
from arbench.probability.heads.natural import natural_head
from arbench.probability.model import Model
from arbench.probability.precision import Weights, round_weights
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.runs.folder import RunFolder
from arbench.runs.loading import load_run, load_unfinished, read_config
from arbench.runs.record.binding import unbound_note
from arbench.runs.record.record import Record
from arbench.training.devices import resolve_device
from arbench.training.recipes import check_options

if TYPE_CHECKING:
    from arbench.probability.layouts import Layout


def load(
    path: str | Path,
    *,
    device: str = "cpu",
    unfinished: bool = False,
    weights: Weights = "float32",
) -> Density:
    """The trained density of a run, in evaluation mode.

    Args:
        path: a run folder, a zoo entry such as "mnist/nade", or "hf:org/name@revision".
        device: where to put it.
        unfinished: also take a run that has not finished, from its last checkpoint; standard error
            then says so.
        weights: "bfloat16" and "int8" round them, which is another density; see `round_weights`.

    Raises:
        ConfigError: if the name stands for nothing, or there are no weights to round.
        NetworkError: if the run has to come from the Hub, and does not.
        CheckpointError: if the run is unfinished, or its files are damaged, do not fit together, or
            are not those that its record names. An old record names none but the weights: standard
            error then says that the run is not bound.
    """
    folder = find_run(path)
    run = RunFolder(folder)
    if unfinished and run.is_unfinished:
        assembly, step = load_unfinished(folder, device=resolve_device(device))
        said = f"{folder} is unfinished: this is its checkpoint, as it was after step {step:,}"
        print(f"arbench: {said}", file=sys.stderr)
        return _rounded(assembly.density, weights)
    run.require_finished()
    density = load_run(folder, device=resolve_device(device)).density
    is_bound = Record.read(run.record).is_bound if run.record.exists() else None
    if note := unbound_note(folder, is_bound):
        print(f"arbench: {note}", file=sys.stderr)
    return _rounded(density, weights)


def _rounded(density: Density, weights: Weights) -> Density:
    if weights == "float32":
        return density
    if weights not in get_args(Weights):
        raise ConfigError(f"weights is {weights!r}, expected {', '.join(get_args(Weights))}")
    if not isinstance(density, nn.Module) or not [*density.parameters()]:
        raise ConfigError("it has counts and no weights, which are all that can be rounded")
    round_weights(density, weights)
    return density


def untrained(model: str, layout: Layout, **settings: Any) -> Model:
    """A model before it was trained, with the head that suits the data.

    Args:
        model: its name, as `arbench list` has it.
        layout: of the events.
        settings: of its network.

    Raises:
        ConfigError: if there is no such model or setting, or it is not for such events.
    """
    network_class = registry().find(ModelEntry, model).load()
    if is_flow(network_class):
        raise ConfigError(f"{model} is a flow, which has no layout: make a Flow of its network")
    checked = dict(check_options(network_class, settings))
    try:
        head = natural_head(layout)
        served = getattr(network_class, "heads", (head.name,))
        if head.name not in served:
            raise ValueError(f"its head is {' or '.join(served)}, not {head.name}")
        return Model(network_class(layout, head.num_params, **checked), head, layout)
    except ValueError as error:
        raise ConfigError(f"{model}: {error}") from error


def download(path: str, *, out: str | Path | None = None) -> Path:
    """The folder of a zoo entry or of a run on the Hub; fetches it if needed and checks its files.

    Args:
        path: what `load` takes.
        out: a folder to copy it to, new or empty; by default it stays where it is.

    Raises:
        ConfigError: if `out` holds something already, or the name stands for nothing.
        CheckpointError: if a file is not what it must be (then nothing is left behind), or the
            folder holds no run.
        NetworkError: if the Hub does not answer.
    """
    from arbench.hub.snapshots import copy_run

    folder = find_run(path)
    read_config(folder)
    return folder if out is None else copy_run(folder, Path(out))
