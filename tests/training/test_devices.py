"""Devices: what this machine lacks is refused, and each of several processes takes its own GPU."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
import torch

from arbench.errors import ConfigError
from arbench.training.devices import make_accelerator, resolve_device

# A machine of four GPUs, as far as accelerate asks; no process group is formed.
FOUR_GPUS = """
import os, sys
import accelerate.state
import torch
from arbench.training.devices import make_accelerator

torch.cuda.is_available = lambda: True
torch.cuda.device_count = lambda: 4
torch.cuda.set_device = lambda device: None
torch.distributed.init_process_group = lambda **_: None
torch.distributed.is_initialized = lambda: False
torch.distributed.get_world_size = lambda *_: int(os.environ["WORLD_SIZE"])
torch.distributed.get_rank = lambda *_: int(os.environ["RANK"])
accelerate.state.check_cuda_p2p_ib_support = lambda: True
accelerator = make_accelerator(sys.argv[1], "float32")
print(accelerator.device, accelerator.num_processes, accelerator.process_index)
"""
# Two CPU processes that agree on how many they are.
COUNTED = """
import sys
from arbench.training.devices import make_accelerator
accelerator = make_accelerator(sys.argv[1], "float32")
print(accelerator.device, accelerator.num_processes)
"""


def _start(program: str, device: str, **variables: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment |= {name: str(value) for name, value in variables.items()}
    return subprocess.Popen(
        [sys.executable, "-c", program, device],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _said(process: subprocess.Popen[str]) -> list[str]:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output.split()


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_each_process_takes_the_gpu_of_its_local_rank(device: str) -> None:
    # The second of two machines with two processes each: ranks 2 and 3, local ranks 0 and 1.
    shared = {"WORLD_SIZE": 4, "LOCAL_WORLD_SIZE": 2}
    processes = [
        _start(FOUR_GPUS, device, RANK=2 + local, LOCAL_RANK=local, **shared) for local in (0, 1)
    ]
    assert [_said(process) for process in processes] == [
        ["cuda:0", "4", "2"],
        ["cuda:1", "4", "3"],
    ]


def test_several_processes_cannot_share_a_numbered_gpu() -> None:
    process = _start(FOUR_GPUS, "cuda:1", WORLD_SIZE=2, LOCAL_WORLD_SIZE=2, RANK=0, LOCAL_RANK=0)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "each of several processes takes a GPU; write cuda" in errors


@pytest.mark.skipif(torch.cuda.is_available(), reason="auto means the GPU here")
def test_auto_without_a_gpu_still_makes_one_run_of_two_processes() -> None:
    shared = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1"}
    shared |= {"MASTER_PORT": _free_port(), "OMP_NUM_THREADS": 1}
    processes = [_start(COUNTED, "auto", RANK=rank, LOCAL_RANK=rank, **shared) for rank in (0, 1)]
    for process in processes:
        assert _said(process) == ["cpu:0", "2"]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("ask", [resolve_device, lambda name: make_accelerator(name, "float32")])
@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("cuda:99", "CUDA devices; try auto"),
        ("tpu", "expected auto"),
        ("cuda:x", "expected auto"),
        ("auto:1", "expected auto"),
    ],
)
def test_a_device_that_is_not_there_is_refused(ask, device: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ask(device)
