"""The training loop: fraction done, learning rate, loss, optimiser, averages, best step, resuming.

A training lasts a number of steps or of wall-clock seconds, or until validation gets no better; the
learning rate and the evaluations follow from the fraction of it that is done.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from arbench.data.tasks import Split
from arbench.errors import CheckpointError, Diverged, Interrupted
from arbench.files.atomic import full_disk_named
from arbench.measure.likelihood import SplitRecord, evaluate_log_probs
from arbench.probability.bits import in_bits
from arbench.probability.flows.flow import Flow
from arbench.probability.model import Model
from arbench.probability.randomness import derive_seed
from arbench.show.reporting import Reporter
from arbench.training.batches import TrainingBatches
from arbench.training.checkpoints import CheckpointStore, Progress
from arbench.training.optimizer import Moments, trained, update
from arbench.training.pace import fraction_done, learning_rate_factor
from arbench.training.recipes import TrainingRecipe
from arbench.training.signals import listening_for_stop

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

    from arbench.measure.processes import Processes
    from arbench.probability.density import Density


class Objective(nn.ModuleList):
    """The members, which may share their weights, and the loss that they are trained with.

    Step s trains member `s mod M`, as MADE cycles through its masks (Germain et al., ICML 2015). A
    module, so that data parallelism and compilation wrap the whole loss.
    """

    def forward(
        self, events: Tensor, scored: Tensor | None, weights: Tensor, member: int
    ) -> Tensor:
        """Total nats `()` of the events, each times its weight; see `Model.training_log_prob`."""
        model = self[member]
        assert isinstance(model, Model | Flow)
        log_probs = model.training_log_prob(events, scored)
        return -(log_probs * weights).sum()


@dataclass(kw_only=True)
class Trainer:
    """One training, from wherever its checkpoint stands to its end.

    Attributes:
        network: holds every weight, on the accelerator's device.
        members: its models, of which each step trains one.
        density: that of them all, which is validated.
        batches: the training batches.
        validation: chooses the best weights; the test split is never seen here.
        recipe: optimiser and schedule.
        num_steps: how long the training is, but for one with a budget.
        budget_s: its wall-clock seconds; None for a number of steps.
        seed: keys dropout.
        compile_loss: puts a compiled loss in place of the own one; None leaves it.
        accelerator: device, precision and processes.
        store: where checkpoints go.
        metrics: `metrics.jsonl`, one line per evaluation.
        reporter: who watches.
        processes: those that validate together; None for one.
        progress: where the training stands.
        best: the weights of the best evaluation so far.
        average: the averaged weights, if the recipe wants any.
        moments: what the optimiser keeps.
        rate: the learning rate of the last step.
        owner: of the weights that are trained: the network, or a copy that is spread out.
    """

    network: nn.Module
    members: Sequence[Model | Flow]
    density: Density
    batches: TrainingBatches
    validation: Split
    recipe: TrainingRecipe
    num_steps: int
    budget_s: float | None
    seed: int
    compile_loss: Callable[[Trainer], None] | None
    accelerator: Accelerator
    store: CheckpointStore
    metrics: Path
    reporter: Reporter
    processes: Processes | None = None
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] | None = None
    moments: Moments = field(default_factory=dict)
    rate: float = 0.0
    owner: nn.Module = field(init=False)

    def run(self) -> Progress:
        """Train to the end and leave the best weights in the network.

        Raises:
            Diverged: when a loss, gradient or validation is not finite.
            Interrupted: after a stop signal, with a checkpoint written.
        """
        self._begin()
        progress, recipe = self.progress, self.recipe
        saved = time.monotonic()
        started = saved - progress.elapsed_s
        with listening_for_stop() as heard, self.reporter.bar("training") as advance:
            finished = False
            while not finished:
                now = time.monotonic()
                elapsed, since, stop = self.of_main(now - started, now - saved, sum(heard[:1]))
                progress.elapsed_s = elapsed
                fraction = fraction_done(progress, self.num_steps, self.budget_s)
                due = math.floor(fraction * recipe.evaluations)
                if progress.step > 0 and due > progress.evaluations:
                    self.evaluate(fraction)
                advance(fraction, self._note())
                stale = 0 < recipe.patience <= progress.evaluations_since_best
                finished = progress.step > 0 and (fraction >= 1 or stale)
                # Also at the end: a run killed in what follows resumes with nothing left to train.
                if finished or stop or since >= recipe.checkpoint_seconds:
                    self._checkpoint()
                    saved = time.monotonic()
                if finished:
                    (stop,) = self.of_main(sum(heard[:1]))  # since the last step
                if stop:
                    raise Interrupted(
                        f"interrupted after step {progress.step}, with a checkpoint; continue with "
                        f"`arbench resume {self.store.folder.parent}`",
                        int(stop),
                    )
                if not finished:
                    self._step(fraction)
        self.network.load_state_dict(self.best)
        return progress

    def _begin(self) -> None:
        """Set up loss, optimiser and averages; take up the checkpoint, if there is one."""
        self.objective: nn.Module = Objective(self.members)
        # What accelerate does to prepare a network loads torch's compiler: 45 MB and a second.
        accelerator, self.owner = self.accelerator, self.network
        if accelerator.num_processes > 1 or accelerator.mixed_precision != "no":
            self.objective = self._prepared(self.objective)
        if own := self._with_kernels():
            self.progress.kernel = own[0].forward_kernel
        self.average = _snapshot(self.network) if self.recipe.ema_decay else None
        if self.store.folder.exists():  # a new run has none
            self._take_up()
        if self.compile_loss:
            self.compile_loss(self)
        if self.accelerator.is_main_process:
            # What was measured after the checkpoint will be measured again.
            with full_disk_named(self.metrics), open(self.metrics, "ab") as file:
                file.truncate(self.progress.metrics_bytes)

    def _prepared(self, objective: nn.Module) -> nn.Module:
        """The loss for several processes, or in mixed precision."""
        # Buffers are equal in all processes by construction, and not every type can be sent.
        buffers = [name for name, _ in objective.named_buffers(remove_duplicate=False)]
        ignore = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
        ignore(objective, buffers)  # type: ignore[no-untyped-call]
        own = self.accelerator
        if isinstance(self.network, nn.ModuleList):  # a step trains the weights of one member
            own.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=True)
        return cast("nn.Module", own.prepare_model(objective))

    def _step(self, fraction: float) -> None:
        """One optimiser step."""
        step = self.progress.step
        batch = self.batches.batch(step)
        torch.manual_seed(derive_seed(self.seed, "step", step, self.accelerator.process_index))
        factor = learning_rate_factor(fraction, self.recipe.schedule, self.recipe.warmup)
        self.rate = self.recipe.learning_rate * factor
        self.objective.train()
        member = step % len(self.members)
        nats = self.objective(batch.events, batch.scored, batch.weights, member)
        # Data parallelism averages gradients over processes; the batch's sum is what is wanted.
        self.accelerator.backward(nats * self.accelerator.num_processes / batch.num_dims)
        # All gradients' norm; they are then scaled down to the recipe's limit, if there is any.
        parameters = [*self.owner.parameters()]
        total_norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self.owner is not self.network:  # each process has a part of the gradients
            total_norm = cast("DTensor", total_norm).full_tensor()
        if self.recipe.clip_norm:
            nn.utils.clip_grads_with_norm_(parameters, self.recipe.clip_norm, total_norm)
        norm = float(total_norm)
        nats = nats.detach()
        if self.accelerator.num_processes > 1:
            nats = self.accelerator.reduce(nats, reduction="sum")
        total = float(nats)
        if not (math.isfinite(norm) and math.isfinite(total)):
            raise Diverged(
                f"step {step}: loss {total / batch.num_dims} nats/dim, gradient norm {norm}, at "
                f"learning rate {self.rate:.2e}, batch {step % self.batches.steps_per_epoch} of "
                "its epoch; try a smaller learning_rate or clip_norm"
            )
        update(self.owner, self.moments, self.recipe, self.rate)
        if self.average is not None:
            self._update(self.average, step)
        self.progress.step += 1
        self.progress.loss_total += total
        self.progress.loss_events += batch.num_events

    def _update(self, average: dict[str, Tensor], step: int) -> None:
        # Early on the average follows the weights closely, so that it forgets where they began.
        decay = min(self.recipe.ema_decay, (1 + step) / (10 + step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, 1 - decay)
            else:
                average[name].copy_(value)

    def evaluate(self, fraction: float) -> None:
        """Measure validation, keep the weights if they are the best, write a line of metrics.

        The weights are the averaged ones, if there are any. The sums of the training loss begin
        anew.

        Raises:
            Diverged: when a log-probability is not finite.
            RunError: when the disk is full.
        """
        progress = self.progress
        own = None if self.average is None else _snapshot(self.network)
        if self.average is not None:
            self.network.load_state_dict(self.average)
        try:
            evaluate = self.processes.evaluate if self.processes else evaluate_log_probs
            density, split = self.density, self.validation
            log_probs = evaluate(density, split)
            found = SplitRecord.of(log_probs, split, density.spec.domain, density.kind)
            (nats,) = self.of_main(found.nats_per_event)
            progress.evaluations_since_best += 1
            if progress.best_nats is None or nats < progress.best_nats:
                progress.best_nats, progress.best_step = nats, progress.step
                progress.evaluations_since_best = 0
                if not hasattr(self.members[0].network, "fit"):  # it is evaluated once
                    self.best = _snapshot(self.network)
        finally:
            if own is not None:
                self.network.load_state_dict(own)
        progress.evaluations = math.floor(fraction * self.recipe.evaluations)
        line: dict[str, float | None] = {
            "step": progress.step,
            "epoch": progress.step / self.batches.steps_per_epoch,
        }
        if progress.loss_events:  # a network that fits itself has no loss
            line["train_nats_per_event"] = progress.loss_total / progress.loss_events
        line |= {
            "validation_nats_per_event": found.nats_per_event,
            "validation_bits_per_dim": found.bits_per_dim,
            "seconds": round(progress.elapsed_s, 3),
        }
        progress.loss_total, progress.loss_events = 0.0, 0
        if self.accelerator.is_main_process:
            # A line that is cut short, a resumed training cuts off.
            with full_disk_named(self.metrics), open(self.metrics, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
                progress.metrics_bytes = file.tell()

    def _note(self) -> str:
        best = self.progress.best_nats
        if best is None:
            return "validation: not yet"
        width = self.density.spec.domain.bin_width
        per_dim = best / self.validation.scored_dims.double().mean().item()
        unit = self.batches.task.unit
        bits = "" if width is None else f"{in_bits(per_dim, width):.4f} bits/{unit}, "
        return f"best validation {bits}{best:.2f} nats"

    def _checkpoint(self) -> None:
        if not self.accelerator.is_main_process:
            return
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {f"average.{k}": v for k, v in (self.average or {}).items()}
        for number, state in self.moments.items():
            tensors |= {f"optimizer.{number}.{k}": v for k, v in state.items()}
        self.store.save(self.progress, tensors)

    def _take_up(self) -> None:
        """Go on from the checkpoint; there is none if the run was killed while it wrote the first.

        Raises:
            CheckpointError: if it is damaged, or of another training.
        """
        loaded = self.store.load()
        if loaded is None:
            return
        self.progress, tensors, cautions = loaded
        try:
            self._require_own(tensors)
            self._use_kernel()
            self.network.load_state_dict(_under(tensors, "network."))
            device = self.accelerator.device
            self.best = {k: v.to(device) for k, v in _under(tensors, "best.").items()}
            if self.average is not None:
                for name, value in _under(tensors, "average.").items():
                    self.average[name].copy_(value)
            for name, value in _under(tensors, "optimizer.").items():
                number, key = name.split(".", 1)
                self.moments.setdefault(int(number), {})[key] = value.to(device, copy=True)
        except (LookupError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{self.store.folder}: does not belong to this configuration: {error}"
            ) from error
        if self.progress.step:  # a run may begin from the weights of another
            self.reporter.say(f"resuming after step {self.progress.step}")
        for caution in cautions:
            self.reporter.say(f"note    {caution}")

    def _with_kernels(self) -> list[Any]:
        """Networks of all members that have a choice, those of copies too; all are alike."""
        return [
            own
            for member in self.members
            for own in member.modules()
            if hasattr(own, "forward_kernels")
        ]

    def _use_kernel(self) -> None:
        """Go on with the kernel that the training began with; see `KernelNetwork`.

        Raises:
            ValueError: if the network has none of that name.
        """
        own = self._with_kernels()
        kernels: tuple[str, ...] = own[0].forward_kernels if own else ()
        if self.progress.kernel is None and kernels:
            self.progress.kernel = kernels[0]  # an older arbench had this one alone
        if self.progress.kernel not in (kernels or (None,)):
            raise ValueError(
                f"it has no kernel {self.progress.kernel!r}, but "
                f"{', '.join(kernels) or 'one alone'}; the extra arbench[fast] may be missing"
            )
        for network in own:
            network.forward_kernel = self.progress.kernel

    def _require_own(self, tensors: dict[str, Tensor]) -> None:
        """Refuse tensors that are not, name by name and shape by shape, those of this training.

        Raises:
            ValueError: with the first that is not.
        """
        weights = self.network.state_dict()
        parts = {"network": True, "best": self.progress.best_nats is not None}
        parts["average"] = self.average is not None
        expected = {
            f"{part}.{name}": weight
            for part, is_there in parts.items()
            for name, weight in weights.items()
            if is_there
        }
        found = {k: v for k, v in tensors.items() if not k.startswith("optimizer.")}
        if found.keys() != expected.keys():
            raise ValueError(f"{min(found.keys() ^ expected.keys())} is missing or unknown")
        parameters = trained(self.network)
        for name, tensor in tensors.items():
            if name in expected:
                fits = (tensor.shape, tensor.dtype) == (expected[name].shape, expected[name].dtype)
            else:
                own = parameters[int(name.split(".")[1])]
                fits = tensor.dim() == 0 or tensor.shape == own.shape
            if not fits:
                raise ValueError(f"{name} is {tensor.dtype} {list(tensor.shape)}")

    def of_main(self, *values: float) -> list[float]:
        """The main process's numbers, the same in every process, so that all decide alike."""
        if self.accelerator.num_processes == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64, device=self.accelerator.device)
        return [float(value) for value in broadcast(shared)]


def _snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
