"""Loads a trained model from a run folder, and checks its files first."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from arbench.errors import CheckpointError
from arbench.files.tensors import load_tensors
from arbench.runs.config import Assembly, RunConfig, assemble
from arbench.runs.folder import RunFolder
from arbench.runs.record.binding import PARTS, binding_fault
from arbench.runs.record.record import Record
from arbench.training.checkpoints import CheckpointStore

if TYPE_CHECKING:
    from arbench.probability.density import Density

_MOST_TENSORS = 1 << 14
# Networks may register a weight and then another in its place.
_MOST_WEIGHTS = 4
_SMALL_BYTES = 1 << 20
# What follows from layout and arguments is not in the file, such as a table of all pairs of sites.
_MOST_TABLES = 64
_SMALL_TABLES_BYTES = 1 << 30


def load_run(path: Path, *, device: str | torch.device = "cpu") -> Assembly:
    """The trained density in a run folder, ready to evaluate and sample.

    Raises:
        CheckpointError: if the configuration or the weights are damaged, do not fit together, or
            are not those of the record.
        DataError: if the record is none.
    """
    folder = RunFolder(path)
    config = read_config(path)
    if not folder.model.exists() and folder.checkpoint.exists():
        raise CheckpointError(
            f"{path}: this run is not finished; continue it with `arbench resume {path}`"
        )
    try:
        size = folder.model.stat().st_size
    except OSError as error:
        raise CheckpointError(f"{folder.model}: no such file") from error
    expected = weights_of(config, folder.model, size)
    sha256 = None
    if folder.record.exists():
        record = Record.read(folder.record)
        sha256 = record.sha256.weights
        check_bound(path, record, ("per_event",))
    tensors = load_tensors(folder.model, sha256=sha256, expected=expected)
    assembly = assemble(config)
    assembly.network.load_state_dict(tensors)
    # The density, not the network: views of an ensemble have a mode and buffers of their own.
    assembly.density.to(device).eval()
    return assembly


def load_unfinished(path: Path, *, device: str | torch.device = "cpu") -> tuple[Assembly, int]:
    """The density of a run that has not finished, from its last checkpoint; and after which step.

    Its weights are the best so far, else the averaged ones, else those of the last step. Of a run
    that still tries alternatives it is the best of those.

    Raises:
        CheckpointError: if there is no checkpoint yet, or it is damaged.
    """
    folder = RunFolder(path)
    places = [folder, *map(RunFolder, sorted(folder.checkpoint.glob("*/")))]
    stores = {place: CheckpointStore(place.checkpoint).load() for place in places}
    found = [(place, *loaded) for place, loaded in stores.items() if loaded is not None]
    if not found:
        raise CheckpointError(
            f"{path}: this run is unfinished and has no checkpoint yet; continue it with `arbench "
            f"resume {path}`, or wait for its first one"
        )
    place, progress, tensors, _ = min(
        found, key=lambda each: math.inf if each[1].best_nats is None else each[1].best_nats
    )
    parts = ("best.", "average.", "network.")
    part = next(own for own in parts if any(name.startswith(own) for name in tensors))
    weights = {k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)}
    config, size = read_config(place.path), sum(each.nbytes for each in weights.values())
    expected = weights_of(config, place.checkpoint, size)
    for name in {*expected, *weights}:
        own, other = expected.get(name), weights.get(name)
        if own is None or other is None or (own.shape, own.dtype) != (other.shape, other.dtype):
            raise CheckpointError(f"{place.checkpoint}: {name} is not what the configuration says")
    assembly = assemble(config)
    assembly.network.load_state_dict(weights)
    assembly.density.to(device).eval()
    return assembly, progress.best_step if part == "best." else progress.step


def load_density(
    name: str, *, find: Callable[[str], Path] = Path, device: str | torch.device
) -> tuple[Density, str, str]:
    """The density of a run, for another that is compared with it; see `context.LoadDensity`.

    Args:
        name: of the run.
        find: the folder of a run by its name.
        device: where to put it.

    Raises:
        CheckpointError: as `load_run`.
        DataError: likewise.
    """
    folder = find(name)
    record = Record.read(RunFolder(folder).record)
    density = load_run(folder, device=device).density
    return density, f"{record.task.name}/{record.model.name}", record.sha256.weights or ""


def read_config(path: Path) -> RunConfig:
    """The configuration of the run in a folder, if it is the one of its record.

    Raises:
        CheckpointError: if it is missing, damaged, or another than the record's.
        DataError: if there is a record, and it is none.
    """
    folder = RunFolder(path)
    config = RunConfig.read(folder.config)
    if folder.record.exists():
        check_bound(path, Record.read(folder.record), ("config",))
    return config


def check_bound(path: Path, record: Record, parts: Iterable[str] = PARTS) -> None:
    """Hold files of a run against the hashes in its record; see `binding_fault`.

    Raises:
        CheckpointError: if one of them is not the record's.
    """
    if fault := binding_fault(path, record.sha256.model_dump(), parts):
        raise CheckpointError(fault)


def weights_of(config: RunConfig, file: Path, num_bytes: int) -> dict[str, Tensor]:
    """The tensors that a configuration asks for, by name, on the meta device.

    Args:
        config: from anywhere; nothing of what it asks for is allocated.
        file: that is said to hold them; it need not be here yet.
        num_bytes: of the file. Where that is far too small the network is not built to its end,
            however deep or wide it is to become, nor however many members are to share it.

    Raises:
        CheckpointError: if the file could not hold them.
        ConfigError: if there is no such network.
    """
    with _growth_limited(file, num_bytes):
        tensors: dict[str, Tensor] = assemble(config, device="meta").network.state_dict()
    return tensors


@contextmanager
def _growth_limited(file: Path, num_bytes: int) -> Iterator[None]:
    """Within, a network that is built by this thread stays in proportion to a file."""
    thread = threading.get_ident()
    seen: dict[int, nn.Parameter] = {}  # weights that are tied count once
    most_bytes, found_bytes = _MOST_WEIGHTS * num_bytes + _SMALL_BYTES, 0
    most_tables, found_tables = _MOST_TABLES * num_bytes + _SMALL_TABLES_BYTES, 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal found_bytes
        if parameter is None or id(parameter) in seen or threading.get_ident() != thread:
            return
        seen[id(parameter)] = parameter
        found_bytes += parameter.numel() * parameter.element_size()
        if found_bytes > most_bytes or len(seen) > _MOST_TENSORS:
            raise CheckpointError(
                f"{file}: the configuration asks for more weights than there are in its "
                f"{num_bytes:,} bytes; the two do not belong together"
            )

    def count_table(module: nn.Module, name: str, buffer: Tensor | None) -> None:
        nonlocal found_tables
        if buffer is None or threading.get_ident() != thread:
            return
        found_tables += buffer.numel() * buffer.element_size()
        if found_tables > most_tables:
            raise CheckpointError(
                f"{file}: the configuration asks for tables of more than {most_tables:,} bytes "
                f"beside weights of {num_bytes:,}; the two do not belong together"
            )

    handles = [
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count_table),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
