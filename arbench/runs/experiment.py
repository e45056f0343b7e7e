"""The steps of a run, in order: resolve, train, check, measure, sample, record."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from arbench.data.dataset import Dataset
from arbench.data.tasks import open_task
from arbench.errors import ArbenchError, ConfigError, Diverged, Interrupted, RunError
from arbench.files.atomic import remove_abandoned, sha256_of, write_text
from arbench.files.tensors import save_tensors
from arbench.measure.allocator import is_out_of_memory, kept_for_reuse
from arbench.measure.asking import Measuring
from arbench.measure.environment import describe_environment
from arbench.measure.likelihood import Likelihood
from arbench.measure.measurement import Measurement
from arbench.measure.per_event import save_per_event
from arbench.measure.speed import Speed
from arbench.probability.randomness import derive_seed
from arbench.runs.config import Assembly, RunConfig, assemble
from arbench.runs.folder import Run as Run
from arbench.runs.folder import RunFolder, new_run_folder
from arbench.runs.loading import check_bound, load_density, read_config
from arbench.runs.record.binding import PER_EVENT
from arbench.runs.record.record import (
    HashesRecord,
    ModelRecord,
    Record,
    TaskRecord,
    TrainingRecord,
)
from arbench.runs.request import RunRequest, reopen, resolve
from arbench.runs.trained_checks import Refused, check_trained
from arbench.show.reporting import Reporter
from arbench.show.samples import left_out
from arbench.show.wording import counted
from arbench.training.batches import TrainingBatches
from arbench.training.checkpoints import CheckpointStore, Progress
from arbench.training.compilation import compile_if_faster
from arbench.training.devices import make_accelerator
from arbench.training.fitting import fit
from arbench.training.trainer import Trainer

_SMALL = 10_000_000  # parameters, for which there is memory everywhere


def start_run(request: RunRequest, reporter: Reporter) -> Run:
    """Execute a recipe in a new folder.

    Raises:
        ArbenchError: of the kind that says what went wrong; see `arbench.errors`.
    """
    config, dataset = resolve(request, open_task(request.task))
    if request.budget_s is not None and request.recipe is None:
        from arbench.training.choice import say_choice  # of a training with a budget alone

        say_choice(config.recipe_name, request.budget_s, reporter)
    accelerator = make_accelerator(request.device, config.precision)
    if request.shard and accelerator.num_processes == 1:
        raise ConfigError("--shard is for several processes: start them with torchrun")
    count = sum(p.numel() for p in assemble(config, device="meta").network.parameters())
    if count > _SMALL and not request.large:
        from arbench.runs.start.size import require_size  # most networks are small

        require_size(config, count, accelerator.device)
    is_main = accelerator.is_main_process
    own = new_run_folder(request.out, config.task, request.model) if is_main else None
    folder: RunFolder = broadcast_object_list([own])[0]
    with folder.locked(is_new=True) if is_main else nullcontext():
        if is_main:
            write_text(folder.config, json.dumps(config.model_dump(mode="json"), indent=1) + "\n")
        if request.init is not None:
            from arbench.runs.start.parent import begin_from  # few runs have a parent

            begin_from(request.init, config, folder, accelerator, reporter)
        if config.recipe.alternatives:
            config = _chosen(config, dataset, folder, accelerator, reporter)
        around = request.around if is_main else None
        with around(folder.path, reporter) if around else nullcontext(reporter) as told:
            return _Experiment(config, dataset, folder, accelerator, told).run(request.measure)


def resume_run(
    path: Path,
    device: str,
    reporter: Reporter,
    task_text: str | None = None,
    around: Callable[[Path, Reporter], AbstractContextManager[Reporter]] | None = None,
) -> Run:
    """Continue the run in a folder; a finished one is returned as it is.

    A run on the user's own data needs `task_text`, such as "images:PATH", to find them again.
    `around` is put around the run as that of a `RunRequest`.

    Raises:
        ArbenchError: of the kind that says what went wrong; see `arbench.errors`.
    """
    folder = RunFolder(path)
    folder.require_begun()
    config = read_config(path)
    if folder.record.exists():
        record = Record.read(folder.record)
        if record.status == "finished":
            check_bound(path, record)
            reporter.say(f"{path} is finished: there is nothing to resume")
            return Run(path, record, was_finished=True)
    dataset = reopen(config, task_text, limit=config.limit)
    dataset.require_likelihood(config.model, config.layouts)
    accelerator = make_accelerator(device, config.precision)
    is_main = accelerator.is_main_process
    with folder.locked() if is_main else nullcontext():
        if is_main:
            for place in (folder.path, folder.checkpoint):
                remove_abandoned(place)
        if config.recipe.alternatives:
            config = _chosen(config, dataset, folder, accelerator, reporter)
        around = around if is_main else None
        with around(folder.path, reporter) if around else nullcontext(reporter) as told:
            return _Experiment(config, dataset, folder, accelerator, told).run()


def _chosen(
    config: RunConfig,
    dataset: Dataset,
    folder: RunFolder,
    accelerator: Accelerator,
    reporter: Reporter,
) -> RunConfig:
    """The configuration with the alternative of its recipe that is best on validation."""
    from arbench.runs.selection import BarsAlone, select, write_begun  # few recipes have any

    def train(offer: RunConfig, place: RunFolder) -> Progress:
        own = _Experiment(offer, dataset, place, accelerator, BarsAlone(reporter))
        if own.is_main:
            write_begun(place, offer)
        return own.train_alone()

    return select(config, dataset, folder, train, accelerator, reporter)


class _Experiment:
    """The steps of one run, over what they share."""

    def __init__(
        self,
        config: RunConfig,
        dataset: Dataset,
        folder: RunFolder,
        accelerator: Accelerator,
        reporter: Reporter,
    ) -> None:
        self.config = config
        self.dataset = dataset
        self.task = dataset.task
        self.folder = folder
        self.accelerator = accelerator
        self.is_main = bool(accelerator.is_main_process)
        self.reporter = reporter if self.is_main else Reporter()
        self.device = accelerator.device
        torch.manual_seed(derive_seed(config.seed, "init"))
        self.assembly: Assembly = assemble(config)
        self.assembly.network.to(self.device)
        self.assembly.density.to(self.device)
        self.measuring = Measuring(
            self.assembly.density,
            dataset,
            subject=config.model,
            seed=config.seed,
            folder=folder.path,
            reporter=self.reporter,
            load_density=functools.partial(load_density, device=self.device),
        )
        self.trainer_class = Trainer
        # What the main process does, the others wait for, and give it values when it asks.
        self.led: Callable[[Callable[[], Record]], Record] = lambda work: work()
        if accelerator.num_processes > 1:
            from arbench.measure.processes import Processes

            if config.shard:
                from arbench.training.sharding import ShardedTrainer

                self.trainer_class = ShardedTrainer
            self.measuring.processes = Processes()
            self.led = functools.partial(self.measuring.processes.led, find=self.measuring.found)

    @property
    def num_parameters(self) -> int:
        """Trainable parameters, or counts where a network has no gradient: none before `fit`."""
        network = self.assembly.network
        weights = [*network.parameters()] or [*network.state_dict().values()]
        return sum(each.numel() for each in weights)

    def run(self, more: Sequence[Measurement] = ()) -> Run:
        """Train, measure and write down; then measure more, writing every answer down at once."""
        if more:
            from arbench.runs.measuring import measure_more, require_askable

            require_askable(more, self.measuring, self.config)
        trainer, train = self._prepare()
        try:
            with kept_for_reuse():
                train()
            record = self.led(lambda: self._measure(trainer).write(self.folder.record))
        except (Interrupted, Diverged, Refused) as error:
            self._write_unfinished(trainer, error)
            raise
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise self._out_of_memory(error) from error
        if self.is_main and self.folder.checkpoint.exists():  # a finished run needs none
            shutil.rmtree(self.folder.checkpoint)
        if more:
            record = self.led(lambda: measure_more(self.folder, record, more, self.measuring))
        self.accelerator.wait_for_everyone()
        return Run(self.folder.path, record, is_main=self.is_main)

    def train_alone(self) -> Progress:
        """Train and measure nothing but validation, for a choice among several."""
        _, train = self._prepare()
        try:
            with kept_for_reuse():
                return train()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise self._out_of_memory(error) from error

    def _prepare(self) -> tuple[Trainer, Callable[[], Progress]]:
        """Say what is trained, on what and where; returns the trainer, and the call that trains."""
        config, recipe, task = self.config, self.config.recipe.training, self.task
        train, validation = self.dataset.split("train"), self.dataset.split("validation")
        steps_per_epoch = -(-len(train) // recipe.batch_size)
        num_epochs = recipe.epochs_for(steps_per_epoch)
        length = f"{config.budget_s:g} s" if config.budget_s else counted(num_epochs, "epoch")
        size = f"{self.num_parameters:,} parameters" if self.num_parameters else "yet to be counted"
        members = f", {len(config.members)} members" if len(config.members) > 1 else ""
        lines = [
            f"task    {task.name} (version {task.version}): {len(train):,} train events "
            f"of {task.spec.num_dims} dims, data sha256 {config.data_sha256[:12]}",
        ]
        if self.is_main and not task.public:
            from arbench.data.repeats import describe_own  # of the user's own data alone

            lines += describe_own(self.dataset)
        lines += [
            f"model   {config.model}: {size}{members}, "
            f"{f'head {config.head}' if config.head else 'a flow'}, recipe {config.recipe_name}, "
            f"{length}",
            f"device  {self.device} ({torch.get_num_threads()} threads), {config.precision}, "
            f"seed {config.seed}; folder {self.folder.path}",
        ]
        if note := left_out(config.shown):
            lines.append(f"note    {note}")
        for line in lines:
            self.reporter.say(line)
        if not recipe.evaluate_test:
            self.dataset.drop("test")

        # A network that fits itself sees all batches in every process: nobody adds up counts.
        is_shared = not hasattr(self.assembly.members[0].network, "fit")
        batches = TrainingBatches(
            task,
            train,
            batch_size=recipe.batch_size,
            seed=config.seed,
            device=self.device,
            process=self.accelerator.process_index if is_shared else 0,
            num_processes=self.accelerator.num_processes if is_shared else 1,
        )
        trainer = self.trainer_class(
            network=self.assembly.network,
            members=self.assembly.members,
            density=self.assembly.density,
            batches=batches,
            validation=validation,
            recipe=recipe,
            num_steps=num_epochs * steps_per_epoch,
            budget_s=config.budget_s,
            seed=config.seed,
            compile_loss=compile_if_faster if config.compile else None,
            accelerator=self.accelerator,
            store=CheckpointStore(self.folder.checkpoint),
            metrics=self.folder.metrics,
            reporter=self.reporter,
            processes=self.measuring.processes,
        )
        return trainer, trainer.run if is_shared else functools.partial(fit, trainer)

    def _measure(self, trainer: Trainer) -> Record:
        """Ask what every run asks: likelihood and truth, then checks, samples and speed.

        Nothing but this sees how well the model does on test, once, at the end of the run. (The
        data's hash is of every event, so test has been read before.)
        """
        measuring = self.measuring
        tests = self.config.recipe.training.evaluate_test
        measuring.ask(Likelihood() if tests else Likelihood.of("validation"))
        if tests and self.task.has_true_log_prob:
            from arbench.measure.truth import Truth  # of synthetic tasks alone

            if not measuring.refusal(Truth()):
                measuring.ask(Truth())
        # First what cannot be made again in a moment, then checks, pictures and timings.
        hashes = {"weights": save_tensors(self.folder.model, trainer.network.state_dict())}
        events = trainer.validation.events
        checks = check_trained(self.assembly, self.config, events, self.reporter, self.folder.path)
        if measuring.values:  # only what no check refuses is a number
            hashes["per_event"] = save_per_event(self.folder.path / PER_EVENT, measuring.values)
        measuring.ask(Speed())
        measured = {"measurements": measuring.sections, "checks": checks}
        return self._record(trainer, trainer.progress, "finished", hashes=hashes, **measured)

    def _record(
        self,
        trainer: Trainer,
        progress: Progress,
        status: str,
        *,
        hashes: Mapping[str, str] | None = None,
        **measured: object,
    ) -> Record:
        config, task = self.config, self.task
        # The file that people will read, whatever wrote it.
        bound = {"config": sha256_of(self.folder.config)}
        if hashes:  # only of a finished training; another writes on
            bound["metrics"] = sha256_of(self.folder.metrics)
        layout, num_orderings = config.recipe.layout, config.recipe.ensemble.num_orderings
        is_raster = config.layouts[0].is_raster
        order = "raster" if is_raster else f"permuted (seed {layout.seed})"
        orders = f"{num_orderings} orderings, the first {order}" if num_orderings > 1 else order
        return Record.model_validate(
            {
                "sha256": HashesRecord(**bound, **(hashes or {})),
                "task": TaskRecord.from_task(task, config.data_sha256),
                "model": ModelRecord(
                    name=config.model,
                    plugin=config.plugin,
                    plugin_version=config.plugin_version,
                    hyperparameters=config.hyperparameters,
                    head=config.head,
                    head_options=config.head_options,
                    layout=f"{orders} by {layout.sites}" if config.head else None,
                    num_copies=config.recipe.ensemble.num_copies,
                    num_members=len(config.members),
                    num_parameters=self.num_parameters,
                ),
                "training": TrainingRecord(
                    recipe=config.recipe_name,
                    recipe_sha256=config.recipe_sha256,
                    settings=config.recipe.model_dump(mode="json"),
                    parent=config.parent,
                    parent_sha256=config.parent_sha256,
                    tried=config.tried,
                    seed=config.seed,
                    steps=progress.step,
                    epochs=progress.step / trainer.batches.steps_per_epoch,
                    seconds=progress.elapsed_s,
                    budget_s=config.budget_s,
                    limit=config.limit,
                    best_step=progress.best_step,
                    device=str(self.device),
                    precision=config.precision,
                    compiled=config.compile and progress.compiles,
                    trial_s=progress.trial_s,
                    kernel=progress.kernel,
                    processes=self.accelerator.num_processes,
                    status=status,  # type: ignore[arg-type]
                ),
                "environment": describe_environment(self.device),
                **measured,
            }
        )

    def _write_unfinished(self, trainer: Trainer, error: ArbenchError) -> None:
        """A record without a number: it says how far the training got and why it ended."""
        if not self.is_main:
            return
        progress, *_ = trainer.store.load() or (Progress(),)
        checks = error.checks if isinstance(error, Refused) else None
        status = "diverged" if isinstance(error, Diverged) else "interrupted"
        status = "refused" if checks is not None else status
        self._record(trainer, progress, status, checks=checks).write(self.folder.record)

    def _out_of_memory(self, error: BaseException) -> RunError:
        batch_size = self.config.recipe.training.batch_size
        return RunError(
            f"out of memory with batch_size {batch_size} on {self.device}; set a smaller one with "
            f"--set batch_size={max(1, batch_size // 2)} (the learning rate may want to follow): "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
        )
