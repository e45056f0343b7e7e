"""The run folder: names of its files, its lock, and the run in it."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from arbench.errors import CheckpointError, ConfigError, Held, Interrupted
from arbench.files.atomic import make_folder, remove_abandoned, require_folder
from arbench.measure.machine import at_work
from arbench.runs.record.binding import per_event_name
from arbench.runs.record.record import Record
from arbench.training.checkpoints import CONFIG, METRICS
from arbench.training.signals import listening_for_stop

RECORD, CARD, LOCK = "record.json", "README.md", ".lock"


class RunFolder:
    """The files of a run folder.

    Args:
        path: the folder.

    Attributes:
        path: the folder.
        config: how to build the density again.
        record: what was measured.
        model: the weights.
        metrics: one line per evaluation.
        card: the model card.
        checkpoint: the training state while it runs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / CONFIG
        self.record = path / RECORD
        self.model = path / "model.safetensors"
        self.metrics = path / METRICS
        self.card = path / CARD
        self.checkpoint = path / "checkpoint"
        self._lock = path / LOCK

    @property
    def per_event(self) -> Path:
        """Values of every event, for paired comparisons."""
        return self.path / per_event_name(self.path)

    def require_finished(self) -> None:
        """Check that the run in this folder came to its end; a folder without a run passes.

        Raises:
            CheckpointError: if it did not; the line says how to go on.
        """
        if not self.config.exists():
            return
        status = Record.read(self.record).status if self.record.exists() else None
        weights_alone = status is None and self.model.exists() and not self.checkpoint.exists()
        if status == "finished" or weights_alone:
            return
        if status == "diverged":
            raise CheckpointError(
                f"{self.path}: this run diverged and has no result; start another, for instance "
                "with a smaller learning_rate"
            )
        if status == "refused":
            raise CheckpointError(
                f"{self.path}: this run was refused and has no result, because the trained "
                f"model failed a check; `arbench show {self.path}` says which"
            )
        if self._is_held():
            raise CheckpointError(f"{self.path}: this run is still going on; wait until it ends")
        raise CheckpointError(
            f"{self.path}: this run is unfinished; continue it with `arbench resume {self.path}`"
        )

    @property
    def is_unfinished(self) -> bool:
        """Whether a training has begun here and may go on, or goes on, from a checkpoint."""
        if self.record.exists() and Record.read(self.record).status != "interrupted":
            return False
        return self.config.exists() and self.checkpoint.exists()

    def require_begun(self) -> None:
        """Check that there is a run to go on with; any other folder is the reader's business.

        Raises:
            CheckpointError: for that of a run that was killed in its very first write.
        """
        left = {file.name for file in self.path.iterdir()} if self.path.is_dir() else set()
        first = f".{self.config.name}.tmp-"
        if ".lock" in left and all(name == ".lock" or name.startswith(first) for name in left):
            raise CheckpointError(
                f"{self.path}: this run was killed before it had written anything; start it anew "
                f"with `arbench run ... --out {self.path}`"
            )

    def _is_held(self) -> bool:
        if not self._lock.exists():
            return False
        try:
            with FileLock(self._lock, timeout=0):
                return False
        except Timeout:
            return True

    @contextmanager
    def locked(self, *, is_new: bool = False) -> Iterator[None]:
        """Hold this folder, and be at work; the operating system lets go if the process dies.

        A new run that fails before it has left anything but its configuration takes the folder
        away again.

        Args:
            is_new: whether a run is to begin in it.

        Raises:
            Held: if another run holds it, or has begun in it meanwhile.
            ConfigError: if it cannot be made or written.
            Interrupted: at a stop signal that nobody handles inside; the line says how to go on.
        """
        make_folder(self.path)
        is_bare = not self.config.exists()
        try:
            with (
                FileLock(self._lock, timeout=0),
                at_work(),
                listening_for_stop(self._how_to_go_on),
            ):
                is_bare = not self.config.exists()
                if is_new and not is_bare:
                    raise Held(
                        f"{self.path}: another run has begun there; choose another folder with "
                        "--out"
                    )
                yield
        except Timeout as error:
            raise Held(
                f"a run is going on in {self.path}; choose another folder with --out"
            ) from error
        except KeyboardInterrupt as error:  # raised by somebody else than our own handler
            if not self.config.exists():
                raise
            raise Interrupted(self._how_to_go_on(), signal.SIGINT) from error
        except Exception as error:
            begun = isinstance(error, Interrupted) and self.config.exists()
            if is_bare and not begun and not isinstance(error, Held):  # then it is somebody else's
                self._remove_if_bare()
            raise

    def _how_to_go_on(self) -> str:
        if not self.config.exists():
            return "interrupted before there was anything to keep; run the same command again"
        return f"interrupted; continue with `arbench resume {self.path}`"

    def _remove_if_bare(self) -> None:
        bare = [self.config, self._lock]
        if self.metrics.exists() and self.metrics.stat().st_size == 0:
            bare.append(self.metrics)
        if set(self.path.iterdir()) - set(bare):
            return
        for file in bare:
            file.unlink(missing_ok=True)
        with suppress(OSError):  # a folder that cannot go, such as a mount point, may stay
            self.path.rmdir()


def new_run_folder(out: Path | None, task: str, model: str) -> RunFolder:
    """A folder that holds no run yet: `out`, or `runs/<task>-<model>` with a number if taken.

    Raises:
        ConfigError: if `out` holds something already, or the folder cannot be made or written.
    """
    if out is not None:
        require_folder(out)
        if out.exists():
            remove_abandoned(out)  # of a run that was killed in its very first write
        if out.exists() and any(file.name != ".lock" for file in out.iterdir()):
            is_run = RunFolder(out).config.exists()
            ways = f", or continue the run in it with `arbench resume {out}`" if is_run else ""
            raise ConfigError(f"--out {out}: exists and is not empty; choose another folder{ways}")
        return RunFolder(out)
    stem = re.sub(r"[^a-z0-9._-]+", "-", f"{task}-{model}")
    make_folder(Path("runs"))
    number = 1
    while True:
        path = Path("runs") / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()  # taken at once: another run may be looking too
        except FileExistsError:
            number += 1
        else:
            return RunFolder(path)


@dataclass(frozen=True)
class Run:
    """A run on disk and its record; `is_main` is False in all but one of several processes.

    `was_finished` is True where there was nothing to resume.
    """

    path: Path
    record: Record
    is_main: bool = True
    was_finished: bool = False

    def _repr_html_(self) -> str:
        """Its numbers, samples and pictures, for a notebook."""
        from arbench.show.notebooks.embedding import run_html

        return run_html(self.path, self.record.model_dump(mode="json"))
