"""A built density together with its network and its members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from arbench.probability.model import Model

if TYPE_CHECKING:
    from arbench.probability.ensemble import Ensemble


@dataclass(frozen=True)
class Assembly:
    """A built density and its parts.

    Attributes:
        network: holds every weight, once.
        members: the models that share it; one, or those of the ensemble.
        density: the single member, or the ensemble of all.
    """

    network: nn.Module
    members: list[Model]
    density: Model | Ensemble

    @property
    def fits_itself(self) -> bool:
        """Whether the network offers `fit`, which takes the place of gradient descent."""
        return hasattr(self.network, "fit")

    @property
    def num_parameters(self) -> int:
        """Trainable parameters, or fitted counts where a network has no gradient."""
        count = sum(p.numel() for p in self.network.parameters())
        if count == 0:
            count = sum(t.numel() for t in self.network.state_dict().values())
        return count
