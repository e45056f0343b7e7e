"""Trains a network whose weights, gradients and moments are spread over processes (`--shard`)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from arbench.errors import ConfigError
from arbench.training.checkpoints import Progress
from arbench.training.optimizer import trained
from arbench.training.trainer import Trainer


class ShardedTrainer(Trainer):
    """A training in which each process keeps a part of every tensor, by FSDP2.

    What is trained is a sharded copy of the loss. The network itself waits in the memory of the
    CPU. It has the weights, whole, when it is evaluated, which is on the device, or saved: so
    checkpoints are those of every run, and any number of processes may go on from them.

    A network's `blocks`, if it has any, are gathered one at a time, and the rest at once.
    """

    def run(self) -> Progress:
        """As `Trainer.run`; the density is then on its device."""
        progress = super().run()
        self._move(self.accelerator.device)
        return progress

    def _prepared(self, objective: nn.Module) -> nn.Module:
        self._require_shardable()
        self._move(torch.device("cpu"))
        device = self.accelerator.device
        mesh = init_device_mesh(device.type, (self.accelerator.num_processes,))
        sharded = copy.deepcopy(objective)
        (model,) = sharded.children()
        owner = model.get_submodule("network")
        for block in getattr(owner, "blocks", ()):
            fully_shard(block, mesh=mesh)
        fully_shard(sharded, mesh=mesh)
        sharded.to(device)
        if self.accelerator.mixed_precision != "no":
            in_bfloat16 = torch.autocast(device.type, torch.bfloat16)
            sharded.forward = in_bfloat16(sharded.forward)
        self.owner = owner
        return sharded

    def _require_shardable(self) -> None:
        """Refuse what is not spread.

        Raises:
            ConfigError: with what it does not go with.
        """
        own = self._with_kernels()
        unfit = {
            "--compile": self.compile_loss,
            "the average of weights: set ema_decay to 0": bool(self.recipe.ema_decay),
            "sgd: set another optimizer": self.recipe.optimizer == "sgd",
            "several orders or masks": len(self.members) > 1,
            "a kernel that reads whole weights": any(
                each.forward_kernel != each.forward_kernels[0] for each in own
            ),
        }
        for what, is_asked in unfit.items():
            if is_asked:
                raise ConfigError(f"--shard does not go with {what}")

    def evaluate(self, fraction: float) -> None:
        """As `Trainer.evaluate`; all processes gather the weights first."""
        self._gather()
        self._move(self.accelerator.device)
        super().evaluate(fraction)
        self.best = {name: value.cpu() for name, value in self.best.items()}
        self._move(torch.device("cpu"))

    def _checkpoint(self) -> None:
        self._gather()
        with self._whole_moments():
            super()._checkpoint()

    def _take_up(self) -> None:
        super()._take_up()
        whole = self.network.state_dict()
        with torch.no_grad():
            for name, value in self.owner.state_dict().items():
                value.copy_(_like(whole[name], value))
        weights = trained(self.owner)
        for number, state in self.moments.items():
            for key, value in state.items():
                state[key] = _like(value, weights[number]) if value.dim() else value

    def _move(self, device: torch.device) -> None:
        cast("nn.Module", self.density).to(device)

    def _gather(self) -> None:
        """Put the weights of all processes into the network."""
        whole = {name: _whole(value) for name, value in self.owner.state_dict().items()}
        self.network.load_state_dict(whole)

    @contextmanager
    def _whole_moments(self) -> Iterator[None]:
        """Within, the moments are those of all processes."""
        own = self.moments
        self.moments = {
            number: {key: _whole(value) for key, value in state.items()}
            for number, state in own.items()
        }
        try:
            yield
        finally:
            self.moments = own


def _whole(value: Tensor) -> Tensor:
    """A tensor of all processes' parts, on the CPU; each of them calls this."""
    whole = value.full_tensor() if isinstance(value, DTensor) else value
    return whole.detach().cpu()


def _like(whole: Tensor, spread: Tensor) -> Tensor:
    """A whole tensor, spread as another is."""
    if not isinstance(spread, DTensor):
        return whole.to(spread.device)
    whole = whole.to(spread.device)
    return distribute_tensor(whole, spread.device_mesh, spread.placements)
