"""Which device and precision a run uses: `--device`, `--precision`, processes."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from arbench.errors import ConfigError

if TYPE_CHECKING:
    from arbench.measure.processes import Processes


def make_accelerator(device: str, precision: str) -> Accelerator:
    """An accelerator on the device asked for, aware of `torchrun` and `accelerate launch`.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: "float32" or "bfloat16".

    Raises:
        ConfigError: if this machine has no such device.
    """
    if device != "auto":
        _require(device)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        if device.startswith("cuda:"):
            raise ConfigError(
                f"--device {device}: each of several processes takes a GPU; write cuda"
            )
        # Left to itself, accelerate gives every process a GPU of its own; but where there is none
        # it starts each process as if it were alone, unless it is told of the CPU.
        has_gpu = torch.cuda.is_available()
        device = {"cuda": "auto", "auto": "auto" if has_gpu else "cpu"}.get(device, device)
    else:
        # accelerate keeps one state per process; two runs in one Python session must not share it.
        AcceleratorState._reset_state(reset_partial_state=True)
    mixed_precision = "bf16" if precision == "bfloat16" else "no"
    if device in ("auto", "cpu"):
        return Accelerator(cpu=device == "cpu", mixed_precision=mixed_precision)
    previous = os.environ.get("ACCELERATE_TORCH_DEVICE")
    os.environ["ACCELERATE_TORCH_DEVICE"] = device
    try:
        return Accelerator(mixed_precision=mixed_precision)
    finally:
        if previous is None:
            del os.environ["ACCELERATE_TORCH_DEVICE"]
        else:
            os.environ["ACCELERATE_TORCH_DEVICE"] = previous


def several_processes(device: str) -> tuple[str, Processes | None]:
    """The device of this process, and all of them, where a launcher started several; else None.

    Raises:
        ConfigError: if this machine has no such device.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device, None
    from arbench.measure.processes import Processes

    own = make_accelerator(device, "float32").device
    # gloo's threads end the process with an abort if they outlive it.
    atexit.register(torch.distributed.destroy_process_group)
    return str(own), Processes()


def is_main_process() -> bool:
    """Whether this is the only process of its work, or the one of them that prints and writes."""
    return os.environ.get("RANK", "0") == "0"


def resolve_device(device: str) -> torch.device:
    """The device for evaluation, sampling and timing; "auto" is the best one there is.

    Raises:
        ConfigError: if this machine has no such device.
    """
    if device != "auto":
        _require(device)
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.xpu.is_available():
        return torch.device("xpu")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _require(device: str) -> None:
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda", "xpu", "mps") or (index and not index.isdecimal()):
        raise ConfigError(f"--device {device}: expected auto, cpu, cuda, cuda:N, xpu or mps")
    count = {"cuda": torch.cuda, "xpu": torch.xpu}.get(kind, torch.cpu).device_count()
    if kind in ("cuda", "xpu") and int(index or 0) >= count:
        what = f"{count} {kind.upper()} devices"
        raise ConfigError(f"--device {device}: this machine has {what}; try auto")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("--device mps: this machine has no MPS device; try auto")
