"""Loading: a trained density from a run folder, checked before anything is allocated."""

from __future__ import annotations

from pathlib import Path

import torch

from arbench.errors import CheckpointError
from arbench.experiment.config import Assembly, RunConfig, assemble
from arbench.experiment.folders import RunFolder
from arbench.experiment.records import Record
from arbench.experiment.weights import load_tensors


def load_run(path: Path, *, device: str | torch.device = "cpu") -> Assembly:
    """The trained density in a run folder, ready to evaluate and sample.

    Raises:
        CheckpointError: if the configuration or the weights are damaged or do not fit together.
    """
    folder = RunFolder(path)
    config = RunConfig.read(folder.config)
    if not folder.model.exists() and folder.checkpoint.exists():
        raise CheckpointError(f"{path}: this run is not finished; continue it with --resume {path}")
    expected = assemble(config, device="meta").network.state_dict()
    sha256 = None
    if folder.record.exists():
        checkpoint = Record.read(folder.record).checkpoint
        sha256 = None if checkpoint is None else checkpoint.sha256
    tensors = load_tensors(folder.model, sha256=sha256, expected=expected)
    assembly = assemble(config)
    assembly.network.load_state_dict(tensors)
    # The density, not the network: views of an ensemble have a mode and buffers of their own.
    assembly.density.to(device).eval()
    return assembly
