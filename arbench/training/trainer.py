"""The training loop: loss, optimiser, learning rate, averaged weights, best step, resuming."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence

import torch
from accelerate.utils import broadcast
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from arbench.errors import CheckpointError, Diverged, Interrupted
from arbench.measure.statistics.metrics import NLL
from arbench.probability.events import bin_width
from arbench.probability.model import Model
from arbench.probability.randomness import derive_seed
from arbench.training.checkpoints import Progress
from arbench.training.plan import Plan
from arbench.training.recipes import TrainingRecipe
from arbench.training.signals import listening_for_stop


class Objective(nn.Module):
    """The training loss: a module, so that data parallelism and compilation wrap the whole loss.

    The members share their weights; step s trains member `s mod M`, as MADE cycles through its
    masks (Germain et al., ICML 2015).
    """

    def __init__(self, members: Sequence[Model]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(
        self, events: Tensor, scored: Tensor | None, weights: Tensor, member: int
    ) -> Tensor:
        """Total nats `()` of the events, each times its weight."""
        log_probs: Tensor = self.members[member](events, scored)
        return -(log_probs * weights).sum()


class Trainer:
    """One training by gradient descent, from wherever its checkpoint stands to its end."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.network = plan.network
        self.accelerator = plan.accelerator
        self.progress = Progress()
        objective: nn.Module = Objective(plan.members)
        # Buffers are equal in all processes by construction, and not every type can be sent.
        buffers = [name for name, _ in objective.named_buffers(remove_duplicate=False)]
        ignore = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
        ignore(objective, buffers)  # type: ignore[no-untyped-call]
        self.objective = plan.accelerator.prepare_model(objective)
        if plan.compile_loss:
            self.objective = torch.compile(self.objective)
        self.optimizer = make_optimizer(self.network, plan.recipe, plan.accelerator.device)
        self.average = _snapshot(self.network) if plan.recipe.ema_decay else None
        self.best: dict[str, Tensor] = {}

    def run(self) -> Progress:
        """Train to the end and leave the best weights in the network.

        Raises:
            Diverged: when a loss, gradient or validation is not finite.
            Interrupted: after a stop signal, with a checkpoint written.
        """
        self._resume()
        last_checkpoint = time.monotonic()
        started = time.monotonic() - self.progress.elapsed_s
        with listening_for_stop() as stop, self.plan.reporter.bar("training") as advance:
            while True:
                elapsed, stop_signal = self._agree(time.monotonic() - started, stop.received)
                self.progress.elapsed_s = elapsed
                fraction = self.plan.fraction(self.progress.step, elapsed)
                due = math.floor(fraction * self.plan.recipe.evaluations)
                if self.progress.step > 0 and due > self.progress.evaluations:
                    self._evaluate(fraction)
                advance(fraction, self._note())
                if fraction >= 1 and self.progress.step > 0:
                    break
                if stop_signal:
                    self._checkpoint()
                    raise self._interrupted(stop_signal)
                if time.monotonic() - last_checkpoint >= self.plan.recipe.checkpoint_seconds:
                    self._checkpoint()
                    last_checkpoint = time.monotonic()
                self._step(fraction)
            # A run killed during its final evaluation resumes here, with nothing left to train.
            self._checkpoint()
            _, stop_signal = self._agree(elapsed, stop.received)  # since the last step
            if stop_signal:
                raise self._interrupted(stop_signal)
        self.network.load_state_dict(self.best)
        return self.progress

    def _interrupted(self, stop_signal: int) -> Interrupted:
        return Interrupted(
            f"interrupted after step {self.progress.step}, with a checkpoint; continue with "
            f"`arbench resume {self.plan.store.folder.parent}`",
            stop_signal,
        )

    def _step(self, fraction: float) -> None:
        """One optimiser step."""
        step = self.progress.step
        batch = self.plan.batches.batch(step)
        torch.manual_seed(derive_seed(self.plan.seed, "step", step, self.accelerator.process_index))
        rate = self.plan.recipe.learning_rate * learning_rate_factor(
            fraction, self.plan.recipe.schedule, self.plan.recipe.warmup
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.objective.train()
        self.optimizer.zero_grad(set_to_none=True)
        member = step % len(self.plan.members)
        nats = self.objective(batch.events, batch.scored, batch.weights, member)
        # Data parallelism averages gradients over processes; the batch's sum is what is wanted.
        self.accelerator.backward(nats * self.accelerator.num_processes / batch.num_dims)
        limit = self.plan.recipe.clip_norm or math.inf
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), limit))
        nats = nats.detach()
        if self.accelerator.num_processes > 1:
            nats = self.accelerator.reduce(nats, reduction="sum")
        total = float(nats)
        if not (math.isfinite(norm) and math.isfinite(total)):
            num_steps = self.plan.batches.steps_per_epoch
            raise Diverged(
                f"step {step}: loss {total / batch.num_dims} nats/dim, gradient norm {norm}, at "
                f"learning rate {rate:.2e}, batch {step % num_steps} of its "
                "epoch; try a smaller learning_rate or clip_norm"
            )
        self.optimizer.step()
        if self.average is not None:
            self._update(self.average, step)
        self.progress.step += 1
        self.progress.loss_total += total
        self.progress.loss_events += batch.num_events

    def _update(self, average: dict[str, Tensor], step: int) -> None:
        # Early on the average follows the weights closely, so that it forgets where they began.
        decay = min(self.plan.recipe.ema_decay, (1 + step) / (10 + step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, 1 - decay)
            else:
                average[name].copy_(value)

    def _evaluate(self, fraction: float) -> None:
        """Measure validation, keep the weights if they are the best, write a line of metrics."""
        with self._averaged_weights():
            nll = self.plan.validate()
            progress = self.progress
            if progress.best_nats is None or nll.nats_per_event < progress.best_nats:
                progress.best_nats, progress.best_step = nll.nats_per_event, progress.step
                self.best = _snapshot(self.network)
        progress.evaluations = math.floor(fraction * self.plan.recipe.evaluations)
        self.plan.add_point(progress, nll)

    def _note(self) -> str:
        best = self.progress.best_nats
        if best is None:
            return "validation: not yet"
        width = bin_width(self.plan.density.spec.domain)
        num_events, num_dims = len(self.plan.validation), self.plan.validation.num_scored_dims
        nll = NLL(best * num_events, num_events, num_dims, None, None, num_events, width)
        unit = self.plan.batches.task.unit
        bits = "" if nll.bits_per_dim is None else f", {nll.bits_per_dim:.4f} bits/{unit}"
        return f"best validation {best:.2f} nats{bits}"

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """The averaged weights in the network's place, if there are any."""
        if self.average is None:
            yield
            return
        own = _snapshot(self.network)
        self.network.load_state_dict(self.average)
        try:
            yield
        finally:
            self.network.load_state_dict(own)

    def _checkpoint(self) -> None:
        if not self.accelerator.is_main_process:
            return
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {f"average.{k}": v for k, v in (self.average or {}).items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
        self.plan.store.save(self.progress, tensors)

    def _resume(self) -> None:
        """Take up the checkpoint, if there is one, and cut the metrics back to it."""
        loaded = self.plan.store.load()
        self.plan.cut_curve(0 if loaded is None else loaded.progress.metrics_bytes)
        if loaded is None:
            return
        self.progress, tensors, cautions = loaded
        try:
            self._require_own(tensors)
            self.network.load_state_dict(_under(tensors, "network."))
            self.best = {
                k: v.to(self.accelerator.device) for k, v in _under(tensors, "best.").items()
            }
            if self.average is not None:
                for name, value in _under(tensors, "average.").items():
                    self.average[name].copy_(value)
            state = self.optimizer.state_dict()
            for name, value in _under(tensors, "optimizer.").items():
                index, key = name.split(".", 1)
                state["state"].setdefault(int(index), {})[key] = value
            self.optimizer.load_state_dict(state)
        except (LookupError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{self.plan.store.folder}: does not belong to this configuration: {error}"
            ) from error
        self.plan.reporter.say(f"resuming after step {self.progress.step}")
        for caution in cautions:
            self.plan.reporter.say(f"note    {caution}")

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
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for name, tensor in tensors.items():
            if name in expected:
                fits = (tensor.shape, tensor.dtype) == (expected[name].shape, expected[name].dtype)
            else:
                own = parameters[int(name.split(".")[1])]
                fits = tensor.dim() == 0 or tensor.shape == own.shape
            if not fits:
                raise ValueError(f"{name} is {tensor.dtype} {list(tensor.shape)}")

    def _agree(self, elapsed: float, signal_number: int | None) -> tuple[float, int]:
        """The main process's clock and stop signal, the same in every process."""
        if self.accelerator.num_processes == 1:
            return elapsed, signal_number or 0
        shared = torch.tensor([elapsed, float(signal_number or 0)], device=self.accelerator.device)
        shared = broadcast(shared)
        return float(shared[0]), int(shared[1])


def learning_rate_factor(fraction: float, schedule: str, warmup: float) -> float:
    """The learning rate as a multiple of its peak, at a fraction of the training.

    Args:
        fraction: in [0, 1].
        schedule: "constant", "linear" or "cosine"; the latter two end at 0.
        warmup: fraction over which the rate first rises linearly from near 0.
    """
    if fraction < warmup:
        return max(fraction / warmup, 1e-3)
    rest = (fraction - warmup) / (1 - warmup)
    if schedule == "linear":
        return 1 - rest
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * rest))
    return 1.0


def make_optimizer(
    network: nn.Module, recipe: TrainingRecipe, device: torch.device
) -> torch.optim.Optimizer:
    """The recipe's optimiser; weight decay applies to tensors of two or more dimensions."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    fused = device.type in ("cpu", "cuda")
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, fused=fused)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=fused)


def _snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
