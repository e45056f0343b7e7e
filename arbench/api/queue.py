"""`arbench.run_queue` and `run_seeds`: many runs, made by any number of workers, each once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from arbench.api.measuring import measure_run, measurement_keys
from arbench.api.training import RecipeOptions, as_request, resume, run
from arbench.data.tasks import open_task
from arbench.errors import ArbenchError, ConfigError, Held, Interrupted, RunError
from arbench.runs.experiment import Run
from arbench.runs.folder import RunFolder
from arbench.runs.pool.claims import LEASE_S, Claim, Claims
from arbench.runs.pool.status import is_finished
from arbench.runs.queue import QueuedRun, read_queue
from arbench.runs.record.record import Record
from arbench.runs.request import resolve
from arbench.runs.seeds import require_recipe, seed_folder, seeds_home
from arbench.show.notebooks.bars import usual_reporter
from arbench.show.reporting import Reporter

_LOOK_AGAIN_S = 1.0


def run_queue(
    path: str | Path,
    *,
    out: str | Path = "runs",
    device: str = "auto",
    launcher: str = "local",
    workers: int | None = None,
    lease: float = LEASE_S,
    reporter: Reporter | None = None,
) -> list[Run]:
    """Train all runs of a queue, in order; skips finished ones and continues unfinished ones.

    Any number of processes may work at one queue, on one machine or on many that share the folder.
    What another one holds is looked at again at the end, and taken up if it has died.

    Args:
        path: a queue file; see `arbench.runs.queue`.
        out: the folder that holds the run folders, one for each run by its name.
        device: where to train.
        launcher: what starts processes for this, and its settings, such as "ray?cpus=4".
        workers: how many processes are at work at once; by default as many as there is room for.
            On this machine ("local") each has one thread unless OMP_NUM_THREADS says otherwise, and
            a GPU of its own while there are enough; there the default is 1, which starts none.
        lease: how long a worker may be silent before it is taken for dead, in seconds.
        reporter: receives progress.

    Returns:
        Every run, whoever made it.

    Raises:
        ConfigError: if the file is no queue, or there is no such launcher.
        Interrupted: at a stop signal; the same call takes the queue up again.
        RunError: at the end, if some of the runs failed; the others have been made.
    """
    wanted, home, reporter = read_queue(Path(path)), Path(out), reporter or usual_reporter()
    if launcher == "local" and workers in (None, 1):
        return make_all("queue", wanted, home, device, reporter, lease_s=lease)
    from arbench.api.launching import jobs_of, launch, open_launcher

    opened, claims = open_launcher(launcher), Claims(home, lease)
    for item in wanted:
        claims.forget_failure(item.name)
    left = [item.name for item in wanted if not is_complete(item, RunFolder(home / item.name))]
    if left:
        jobs = jobs_of(opened, Path(path), left, home, device, workers, lease)
        launch(opened, jobs, wanted, home, workers, reporter)
    return collected(wanted, home)


def run_seeds(
    task: str,
    model: str,
    *,
    seeds: int,
    out: str | Path | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
    **options: Unpack[RecipeOptions],
) -> list[Run]:
    """Train one recipe with seeds 0 to `seeds` - 1, each seed in its own folder, in order.

    What is finished is kept and what is begun continued, so that the same call takes all up again;
    a greater number adds seeds. `compare` takes the folder, and a board shows it as one row.

    Args:
        task: a task's name, such as "mnist", or "images:PATH".
        model: a model's name, such as "nade".
        seeds: how many; a verdict about the recipe takes at least 3.
        out: the folder that holds `seed-0`, `seed-1` and so on; by default one under `runs/`.
        device: where to train.
        reporter: receives progress; by default a notebook, and nobody elsewhere.
        options: the rest of what `run` takes, but for the seed.

    Raises:
        ConfigError: if there is no seed, the folder is a run, or one of its seeds is of another
            recipe.
        Interrupted: at a stop signal; the same call takes the seeds up again.
        RunError: at the end, if some of them failed; the others have been made.
    """
    if seeds < 1:
        raise ConfigError(f"seeds is at least 1, got {seeds}")
    if isinstance(options.get("init"), Path):
        options["init"] = str(options["init"])  # as a queue has it
    config, _ = resolve(as_request(task, model, **options), open_task(task))
    home = seeds_home(None if out is None else Path(out), config.task, model)
    folders = [seed_folder(home, seed) for seed in range(seeds)]
    for folder in folders:  # before any is trained
        if folder.config.exists():
            require_recipe(folder, config)
    wanted = [
        QueuedRun.model_validate(
            {**options, "task": task, "model": model, "seed": seed, "name": folder.path.name}
        )
        for seed, folder in enumerate(folders)
    ]
    return make_all("seeds", wanted, home, device, reporter or usual_reporter())


def make_all(
    what: str,
    wanted: Sequence[QueuedRun],
    home: Path,
    device: str,
    reporter: Reporter,
    *,
    lease_s: float = LEASE_S,
    again: bool = True,
) -> list[Run]:
    """Make every run in its folder below `home`, beside any other worker that does the same.

    Args:
        what: "queue" or "seeds".
        wanted: the runs, in order.
        home: the folder of the run folders.
        device: where to train.
        reporter: receives progress.
        lease_s: how long a worker may be silent.
        again: whether runs that failed before are tried again.

    Returns:
        Every run, whoever made it.

    Raises:
        Interrupted: at a stop signal.
        RunError: at the end, if some of them failed; the others have been made.
    """
    worker = _Worker(what, wanted, home, device, reporter, lease_s)
    if again:
        for item in wanted:
            worker.claims.forget_failure(item.name)
    left = list(wanted)
    while left:
        still = [item for item in left if not worker.settles(item)]
        if len(still) == len(left):
            time.sleep(min(_LOOK_AGAIN_S, lease_s / 2))
        left = still
    return worker.outcome()


class _Worker:
    """One process at work on a list of runs."""

    def __init__(
        self,
        what: str,
        wanted: Sequence[QueuedRun],
        home: Path,
        device: str,
        reporter: Reporter,
        lease_s: float,
    ) -> None:
        self.what, self.wanted, self.home, self.device = what, wanted, home, device
        self.reporter, self.claims = reporter, Claims(home, lease_s)
        # Several processes that share each run (torchrun) are one worker, and know of each other.
        self.is_alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
        self.made: dict[str, Run] = {}
        self.failed: set[str] = set()
        self.held: set[str] = set()

    def settles(self, item: QueuedRun) -> bool:
        """Whether a run is made or has failed by now; False if another worker holds it.

        Raises:
            Interrupted: at a stop signal.
        """
        try:
            with self._held(item.name) as claim:
                if claim is None:
                    self.made[item.name] = self._make(item, self.reporter)
                elif claim.has_failed:
                    self.failed.add(item.name)
                else:
                    if not is_complete(item, RunFolder(self.home / item.name)):
                        claim.begin()
                    self.made[item.name] = self._make(item, claim)
        except Held as error:
            if not self.is_alone:
                raise
            if item.name not in self.held:
                self.reporter.say(f"held    {error}")
            self.held.add(item.name)
            return False
        except Interrupted:
            self.reporter.say(f"{self.what}   {self.home}: the same command goes on with the rest")
            raise
        except ArbenchError as error:
            self.reporter.say(f"failed  {item.name}: {error}")
            self.failed.add(item.name)
        return True

    def _held(self, name: str) -> AbstractContextManager[Claim | None]:
        return self.claims.claim(name, self.reporter) if self.is_alone else nullcontext()

    def _make(self, item: QueuedRun, reporter: Reporter) -> Run:
        """Make a run, or go on with it; a finished one is returned as it is."""
        folder, number = self.home / item.name, self.wanted.index(item) + 1
        reporter.say(f"{self.what}   {number} of {len(self.wanted)}: {folder}")
        if not RunFolder(folder).config.exists():
            asked = item.model_dump(exclude={"name"})
            return run(**asked, out=folder, device=self.device, reporter=reporter)
        made = resume(folder, task=item.task, device=self.device, reporter=reporter)
        if self.is_alone and not is_complete(item, RunFolder(folder)):  # killed while it measured
            asked = {"task": item.task, "device": self.device, "reporter": reporter}
            made = replace(made, record=measure_run(folder, *item.measure, **asked))
        return made

    def outcome(self) -> list[Run]:
        """Every run, in order.

        Raises:
            RunError: if some of them failed.
        """
        if self.failed:
            kind = "seeds" if self.what == "seeds" else "runs"
            names = ", ".join(item.name for item in self.wanted if item.name in self.failed)
            raise RunError(f"{len(self.failed)} of {len(self.wanted)} {kind} failed: {names}")
        return [self.made[item.name] for item in self.wanted]


def is_complete(item: QueuedRun, folder: RunFolder) -> bool:
    """Whether there is nothing left to do for a run."""
    if not is_finished(folder):
        return False
    return {*measurement_keys(item.measure)} <= {*Record.read(folder.record).measurements}


def collected(wanted: Sequence[QueuedRun], home: Path) -> list[Run]:
    """Every run of a queue that other processes have worked at, in order.

    Raises:
        RunError: if some of them failed, or nobody has made them.
    """
    claims, made = Claims(home), []
    missing: dict[str, str] = {}
    for item in wanted:
        note, folder = claims.note(item.name), RunFolder(home / item.name)
        if note is not None and note.state == "failed":
            missing[item.name] = note.error
        elif not is_finished(folder):
            missing[item.name] = "nobody has made it; the same command goes on with it"
        else:
            made.append(Run(folder.path, Record.read(folder.record), was_finished=True))
    if missing:
        why = "; ".join(f"{name}: {error}" for name, error in missing.items())
        raise RunError(f"{len(missing)} of {len(wanted)} runs are not made: {why}")
    return made
