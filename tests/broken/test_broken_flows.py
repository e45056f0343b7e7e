"""Wrong flows as found in the wild, each refused by the check that names it."""

# The contract of each method is that of the class it breaks.

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from arbench.testing.conformance import Result, checks_for, run_check, subjects
from arbench.testing.flows import FLOW_EVENTS
from arbench.testing.toys import LinearFlow
from arbench_tarflow.blocks import Block
from arbench_tarflow.network import TarFlow


class TurnedSign(LinearFlow):
    """The volume of the inverse."""

    def forward(self, events: Tensor) -> tuple[Tensor, Tensor]:
        latents, log_det = super().forward(events)
        return latents, -log_det


class MeanOfLogs(LinearFlow):
    """A mean over dims where a sum belongs, as a loss per dim has it."""

    def forward(self, events: Tensor) -> tuple[Tensor, Tensor]:
        latents, log_det = super().forward(events)
        return latents, log_det / latents.shape[1]


class Forgets(LinearFlow):
    """The inverse forgets the shift."""

    def inverse(self, latents: Tensor) -> Tensor:
        return super().inverse(latents + self.shift)


class RoughWhole(LinearFlow):
    """One of two inverses stops too early."""

    def inverse_whole(self, latents: Tensor) -> Tensor:
        return self.inverse(latents) + 1e-5


class Folds(LinearFlow):
    """Two events have the same latents. Determinant and integral are right all the same."""

    def forward(self, events: Tensor) -> tuple[Tensor, Tensor]:
        latents, log_det = super().forward(events)
        return latents.abs(), log_det


class Standardises(LinearFlow):
    """Divides by the spread of the batch."""

    def forward(self, events: Tensor) -> tuple[Tensor, Tensor]:
        spread = events.std() if len(events) > 1 else torch.ones(())
        latents, log_det = super().forward(events / spread)
        return latents, log_det - latents.shape[1] * spread.log()


class Idle(LinearFlow):
    """A weight that nothing reads."""

    def __init__(self, spec: object, *, seed: int = 0) -> None:
        super().__init__(spec, seed=seed)  # type: ignore[arg-type]
        self.left_behind = nn.Parameter(torch.ones(3))


class Drifting(Block):
    """Reads the patch itself, and its inverse the one before: as an unshifted output would."""

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        patches = self._turned(patches)
        means, log_scales = self._numbers(patches[:, 1:])
        rest = (patches[:, 1:] - means) * (-log_scales).exp()
        return self._turned(torch.cat((patches[:, :1], rest), 1)), -log_scales.flatten(1).sum(1)


class CachesTooLate(Block):
    """Its cache misses the positions."""

    def inverse(self, outputs: Tensor) -> Tensor:
        positions = self.positions.detach().clone()
        self.positions.data.zero_()
        try:
            return super().inverse(outputs)
        finally:
            self.positions.data.copy_(positions)


def of_blocks(kind: type[Block]) -> type[TarFlow]:
    """TarFlow of such blocks."""

    class Broken(TarFlow):
        def __init__(self, *arguments: object, **settings: object) -> None:
            super().__init__(*arguments, **settings)  # type: ignore[arg-type]
            for block in self.blocks:
                block.__class__ = kind

    Broken.__name__ = kind.__name__
    return Broken


class Twice(TarFlow):
    """The first block a second time."""

    def forward(self, events: Tensor) -> tuple[Tensor, Tensor]:
        latents, log_det = super().forward(events)
        again, more = self.blocks[0](latents.view(len(events), self.patches.num_patches, -1))
        return again.flatten(1), log_det + more


CASES = [
    (TurnedSign, "real-5", "log_det", "nats per dim"),
    (TurnedSign, "real-2", "normalisation", "integrates to"),
    (MeanOfLogs, "real-2x2", "log_det", "a factor left out"),
    (Forgets, "real-5", "inverse", "comes back from its latents"),
    (Forgets, "real-5", "samples", "samples by inverse have latents"),
    (RoughWhole, "real-5", "inverse", "comes back"),
    (RoughWhole, "real-5", "samples", "samples by whole have latents"),
    (Folds, "real-5", "inverse", "comes back"),
    (Standardises, "real-5", "invariances", "changes the log-probability"),
    (Idle, "real-5", "gradients", "no gradient reaches left_behind"),
    (of_blocks(Drifting), "real-5", "log_det", "nats per dim"),
    (of_blocks(Drifting), "real-5", "blocks", "block 0: its inverse is"),
    (of_blocks(CachesTooLate), "real-5", "blocks", "block 0: its inverse is"),
    (of_blocks(CachesTooLate), "real-2x2", "samples", "samples by inverse"),
    (Twice, "real-5", "blocks", "goes through the blocks [0, 1, 0]"),
]


@pytest.mark.parametrize(
    ("network", "events", "check", "evidence"),
    CASES,
    ids=[f"{network.__name__}-{check}" for network, _, check, _ in CASES],
)
def test_broken_flow_is_caught_by_name(
    network: type[nn.Module], events: str, check: str, evidence: str
) -> None:
    ((name, subject),) = subjects(network, specs={events: FLOW_EVENTS[events]}).items()
    result = run_check(check, name, subject)
    assert result.status == "failed", result.message
    assert evidence in result.message


@pytest.mark.parametrize("network", [LinearFlow, TarFlow])
@pytest.mark.parametrize("events", FLOW_EVENTS)
def test_repaired_twins_pass(network: type[nn.Module], events: str) -> None:
    ((name, subject),) = subjects(network, specs={events: FLOW_EVENTS[events]}).items()
    for check in ("log_det", "inverse", "samples", "blocks"):
        assert check in checks_for(network)
        told = "the network names no blocks" if (network, check) == (LinearFlow, "blocks") else ""
        assert run_check(check, name, subject) == Result(check, name, "passed", told)
