"""Fine-tuning (`--init`): a run that begins from the weights of another, its parent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from arbench.data.rendering import TextRendering
from arbench.errors import CheckpointError, ConfigError
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.runs.config import RunConfig, assemble
from arbench.runs.folder import RunFolder
from arbench.runs.loading import load_run, read_config
from arbench.runs.record.record import Record
from arbench.show.reporting import Reporter
from arbench.training.checkpoints import CheckpointStore, Progress


@dataclass(frozen=True)
class Parent:
    """A finished run from whose weights another begins; of its optimiser nothing is taken.

    Attributes:
        folder: of the run.
        config: of the run.
        sha256: of its weights, as a file.
    """

    folder: Path
    config: RunConfig
    sha256: str

    @classmethod
    def open(cls, folder: Path, model: str) -> Parent:
        """The run in a folder, for a run of that model.

        Raises:
            ConfigError: if it is of another model, or of one that fits itself.
            CheckpointError: if it is unfinished or damaged, or names no weights.
            DataError: if its record is none.
        """
        files = RunFolder(folder)
        files.require_finished()
        config = read_config(folder)
        if config.model != model:
            raise ConfigError(
                f"--init {folder}: is a run of {config.model}, not of {model}; say --model "
                f"{config.model}"
            )
        if hasattr(registry().find(ModelEntry, model).load(), "fit"):
            raise ConfigError(f"--init {folder}: {model} fits itself, so nothing can be taken up")
        sha256 = Record.read(files.record).sha256.weights
        if sha256 is None:
            raise CheckpointError(f"{folder}: its record names no weights to begin from")
        return cls(folder, config, sha256)

    @property
    def name(self) -> str:
        """Its task and model."""
        return f"{self.config.task}/{self.config.model}"

    @property
    def named(self) -> dict[str, str]:
        """What a configuration keeps of it."""
        return {"parent": self.name, "parent_sha256": self.sha256}

    @property
    def recipe(self) -> tuple[str, dict[str, Any]]:
        """Its recipe by name, as a recipe file has it: what was chosen among alternatives."""
        values = self.config.recipe.model_dump(mode="json", exclude={"alternatives"})
        del values["training"]["evaluate_test"]  # whoever asks says whether test is seen
        return self.config.recipe_name, values

    def require_fit(self, config: RunConfig) -> None:
        """Refuse a run for which these weights are not, or would mean something else.

        Raises:
            ConfigError: with the first tensor that differs, or what it means otherwise.
        """
        own, theirs = (
            assemble(each, device="meta").network.state_dict() for each in (config, self.config)
        )
        where = f"--init {self.folder}: the weights of {self.name} do not fit {config.task}"
        for name in [*theirs, *own]:
            there, here = _described(theirs.get(name)), _described(own.get(name))
            if there != here:
                raise ConfigError(
                    f"{where}: {name} is {there} there and {here} here; leave out settings that "
                    "change the size, or take data of the parent's kind"
                )
        if isinstance(config.shown, TextRendering) and config.shown != self.config.shown:
            raise ConfigError(
                f"{where}: its values stand for other letters; take data of your own, which are "
                "read by the parent's letters, or train without --init"
            )
        alike = config.layouts[0].spec == self.config.layouts[0].spec
        if alike and config.members != self.config.members:
            raise ConfigError(f"{where}: they learned another order; leave out what sets it")

    def hand_over(self, config: RunConfig, folder: RunFolder) -> None:
        """Let a run begin from these weights: they are its checkpoint before the first step.

        So the parent may go, and a run that is killed early begins from them again.

        Raises:
            CheckpointError: if they are damaged, or not those that the record names.
        """
        network = load_run(self.folder).network
        parts = ("network", "average") if config.recipe.training.ema_decay else ("network",)
        weights = network.state_dict()
        tensors = {f"{part}.{name}": weights[name] for part in parts for name in weights}
        with_kernel: list[Any] = [m for m in network.modules() if hasattr(m, "forward_kernels")]
        kernel = with_kernel[0].forward_kernel if with_kernel else None
        CheckpointStore(folder.checkpoint).save(Progress(kernel=kernel), tensors)


def begin_from(
    parent: Path,
    config: RunConfig,
    folder: RunFolder,
    accelerator: Accelerator,
    reporter: Reporter,
) -> None:
    """Let a new run begin from the weights of the one in a folder; see `Parent`."""
    found = Parent.open(parent, config.model)
    found.require_fit(config)
    if accelerator.is_main_process:
        found.hand_over(config, folder)
        reporter.say(f"init    weights of {found.name}, sha256 {found.sha256[:12]}")
    accelerator.wait_for_everyone()


def _described(tensor: Tensor | None) -> str:
    if tensor is None:
        return "missing"
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
