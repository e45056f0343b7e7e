"""arbench: a benchmark suite and model zoo for autoregressive generative models.

Names are imported when they are first used, so that `import arbench` costs almost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arbench.api import ForeignDensity as ForeignDensity
    from arbench.api import bench as bench
    from arbench.api import compare as compare
    from arbench.api import download as download
    from arbench.api import evaluate as evaluate
    from arbench.api import evaluate_density as evaluate_density
    from arbench.api import leaderboard as leaderboard
    from arbench.api import load as load
    from arbench.api import open_task as open_task
    from arbench.api import push as push
    from arbench.api import push_board as push_board
    from arbench.api import push_space as push_space
    from arbench.api import resume as resume
    from arbench.api import run as run
    from arbench.api import run_queue as run_queue
    from arbench.api import run_seeds as run_seeds
    from arbench.api import sample as sample
    from arbench.api import sample_texts as sample_texts
    from arbench.api import verify as verify
    from arbench.registry.entries import CommandEntry as CommandEntry
    from arbench.registry.entries import HeadEntry as HeadEntry
    from arbench.registry.entries import ModelEntry as ModelEntry
    from arbench.registry.entries import TaskEntry as TaskEntry
    from arbench.registry.hookspecs import hookimpl as hookimpl

__version__ = "0.1.0"

# Where each name is; type checkers read the imports above.
_HOMES = {
    **dict.fromkeys(
        (
            "ForeignDensity",
            "bench",
            "compare",
            "download",
            "evaluate",
            "evaluate_density",
            "leaderboard",
            "load",
            "open_task",
            "push",
            "push_board",
            "push_space",
            "resume",
            "run",
            "run_queue",
            "run_seeds",
            "sample",
            "sample_texts",
            "verify",
        ),
        "arbench.api",
    ),
    **dict.fromkeys(
        ("CommandEntry", "HeadEntry", "ModelEntry", "TaskEntry"), "arbench.registry.entries"
    ),
    "hookimpl": "arbench.registry.hookspecs",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'arbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
