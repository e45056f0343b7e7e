"""The `environment` of a record: versions, CPU, threads, GPU, git commit."""

from __future__ import annotations

import functools
import platform
import subprocess
from pathlib import Path

import torch

from arbench.files.plain_text import one_line
from arbench.measure.sections import Environment
from arbench.registry.surroundings import undone
from arbench.version import __version__


def describe_environment(device: torch.device) -> Environment:
    """Versions, processor, threads, the GPU used and source revision; no host, user or path."""
    return Environment(
        arbench=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        platform=f"{platform.system()} {platform.machine()}",
        cpu=one_line(_cpu_name()),
        threads=torch.get_num_threads(),
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        git_commit=_git_commit(),
        undone=[one_line(line) for line in undone],
    )


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


@functools.cache
def _git_commit() -> str | None:
    """The commit of the checkout that arbench runs from, with "+" when it has changes."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        changes = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None  # a checkout without a working git has no revision to state
    return commit + ("+" if changes else "")
