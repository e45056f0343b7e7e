"""TarFlow: blocks of autoregressive maps over patches, in alternating directions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from arbench import EventSpec, Real
from arbench_tarflow.blocks import Block
from arbench_tarflow.patches import Patches


class TarFlow(nn.Module):
    """A transformer autoregressive flow; see `FlowNetwork` for the contract, `Block` for the map.

    The first block reads patches in raster order, the second in the reverse one, and so on. Each is
    triangular in its own order, so its inverse goes patch by patch; their composition is not
    triangular in any order, so no dim has a conditional density that could be written down.

    Source: Zhai, Zhang, Nakkiran, Berthelot, Gu, Zheng, Chen, Bautista, Jaitly and Susskind,
    "Normalizing Flows are Capable Generative Models", 2024, sections 2.2 and 2.3. Deviations: rows
    of numbers are cut into patches too; no class labels, no noise added in training, no guidance,
    no denoising; and see `Block`.

    Args:
        spec: real events, images `(C, H, W)` or rows `(D,)`, of about unit size.
        patch: side of the square patches of an image; length of the pieces of a row.
        width: units of the transformers.
        num_blocks: how many maps follow each other; with one, the first patch stays as it is.
        num_layers: of each block's transformer.
        num_heads: of its attention; they divide the width.

    Raises:
        ValueError: if the events are discrete or no whole number of patches, or an argument is not
            one of these.
    """

    tiny_hyperparameters: ClassVar = {"width": 8, "num_blocks": 2, "num_layers": 1, "num_heads": 2}

    def __init__(
        self,
        spec: EventSpec,
        *,
        patch: int = 1,
        width: int = 64,
        num_blocks: int = 4,
        num_layers: int = 2,
        num_heads: int = 2,
    ) -> None:
        super().__init__()
        if not isinstance(spec.domain, Real):
            raise ValueError(f"TarFlow needs real numbers, but the data are {spec.domain}")
        if min(width, num_blocks, num_layers, num_heads) < 1 or width % num_heads:
            raise ValueError(
                "width, num_blocks, num_layers and num_heads are at least 1, and num_heads divides "
                f"width; got {width}, {num_blocks}, {num_layers} and {num_heads}"
            )
        self.spec = spec
        self.patches = Patches(spec, patch)
        self.blocks = nn.ModuleList(
            Block(
                self.patches.num_patches,
                self.patches.patch_dim,
                width=width,
                num_layers=num_layers,
                num_heads=num_heads,
                is_reversed=number % 2 == 1,
            )
            for number in range(num_blocks)
        )

    def forward(self, events: Tensor) -> tuple[Tensor, Tensor]:
        """Latents and the change of volume.

        Args:
            events: `(B, *event_shape)`.

        Returns:
            `(B, D)`, patch by patch, and `log |det|`, `(B,)` nats.
        """
        values = self.patches.of(events)
        log_dets = []
        for block in self.blocks:
            values, log_det = block(values)
            log_dets.append(log_det)
        return values.flatten(1), torch.stack(log_dets).sum(0)

    def inverse(self, latents: Tensor) -> Tensor:
        """The events `(B, *event_shape)` of latents `(B, D)`, with key-value caches."""
        return self._inverted(latents, "inverse")

    def inverse_whole(self, latents: Tensor) -> Tensor:
        """The same by whole forward passes of each block."""
        return self._inverted(latents, "inverse_whole")

    def _inverted(self, latents: Tensor, how: str) -> Tensor:
        values = latents.view(-1, self.patches.num_patches, self.patches.patch_dim)
        for block in reversed(self.blocks):
            values = getattr(block, how)(values)
        return self.patches.joined(values, self.spec.shape)
