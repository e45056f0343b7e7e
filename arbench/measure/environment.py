"""What every section of a record says; `Environment`: versions, CPU, threads, GPU, git commit."""

from __future__ import annotations

import functools
import platform
import subprocess
from pathlib import Path

import torch
from pydantic import Field

from arbench.files.documents import Count, Line, Part, Values
from arbench.registry.surroundings import undone
from arbench.show.escaping import one_line
from arbench.version import __version__


class Environment(Part):
    """On what machine and with what software.

    `undone` is what plugins changed of torch's state when they were imported, and was put back.
    """

    arbench: Line
    python: Line
    torch: Line
    platform: Line
    cpu: Line
    threads: Count
    gpu: Line | None
    git_commit: Line | None
    undone: list[Line] = Field(default_factory=list)


class Section(Part):
    """What every measurement leaves in a record.

    Attributes:
        version: of the measurement: results of different versions are not compared.
        settings: its keyword arguments that are not the defaults.
        environment: where it was measured, which need not be where the model was trained.
    """

    version: Line
    settings: Values = Field(default_factory=dict)
    environment: Environment


def describe_environment(device: torch.device) -> Environment:
    """Versions, processor, threads, the GPU used and source revision; no host, user or path."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return Environment(
        arbench=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        platform=f"{platform.system()} {platform.machine()}",
        cpu=one_line(cpu),
        threads=torch.get_num_threads(),
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        git_commit=_git_commit(),
        undone=[one_line(line) for line in undone],
    )


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
