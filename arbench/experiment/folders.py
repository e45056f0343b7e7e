"""The run folder: one execution of a recipe, and nobody else's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from arbench.errors import ConfigError


@dataclass(frozen=True)
class RunFolder:
    """Names of everything that a run leaves."""

    path: Path

    @property
    def config(self) -> Path:
        """How to build the density again."""
        return self.path / "config.json"

    @property
    def record(self) -> Path:
        """What was measured."""
        return self.path / "record.json"

    @property
    def model(self) -> Path:
        """The weights."""
        return self.path / "model.safetensors"

    @property
    def log_probs(self) -> Path:
        """One value per test event, for paired comparisons."""
        return self.path / "log_probs.safetensors"

    @property
    def metrics(self) -> Path:
        """One line per evaluation."""
        return self.path / "metrics.jsonl"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.path / "README.md"

    @property
    def checkpoint(self) -> Path:
        """The training state while it runs."""
        return self.path / "checkpoint"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this folder; the operating system lets go if the process dies.

        Raises:
            ConfigError: if another run holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            with lock:
                yield
        except Timeout as error:
            raise ConfigError(
                f"{self.path} belongs to a run that is going on; choose another folder with --out"
            ) from error


def new_run_folder(out: Path | None, task: str, model: str) -> RunFolder:
    """A folder that holds no run yet: `out`, or `runs/<task>-<model>` with a number if taken.

    Raises:
        ConfigError: if `out` holds something already.
    """
    if out is not None:
        if out.exists() and (not out.is_dir() or any(f.name != ".lock" for f in out.iterdir())):
            raise ConfigError(
                f"--out {out}: exists and is not empty; choose another folder, or continue the run "
                f"in it with --resume {out}"
            )
        return RunFolder(out)
    stem = re.sub(r"[^a-z0-9._-]+", "-", f"{task}-{model}")
    number = 1
    while True:
        path = Path("runs") / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir(parents=True)  # taken at once: another run may be looking too
        except FileExistsError:
            number += 1
        else:
            return RunFolder(path)
