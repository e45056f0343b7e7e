"""Patches: squares of an image, or pieces of a row, as one vector each."""

from __future__ import annotations

from torch import Tensor

from arbench import EventSpec


class Patches:
    """Events as T vectors of C numbers, in raster order, and back.

    Args:
        spec: images `(C, H, W)`, or rows `(D,)`.
        size: side of a square of pixels, with all of their channels; or length of a piece.

    Attributes:
        num_patches: T.
        patch_dim: C, numbers in a patch.

    Raises:
        ValueError: if the events are no whole number of patches, at least two.
    """

    def __init__(self, spec: EventSpec, size: int) -> None:
        self.size = size
        self.channels, *sides = spec.shape if len(spec.shape) == 3 else (1, 1, *spec.shape)
        self.height, self.width = sides
        # A piece of a row is one row high.
        self.rows = size if len(spec.shape) == 3 else 1
        if size < 1 or self.height % self.rows or self.width % size:
            raise ValueError(
                f"patch has to divide the sides of an event, which are {list(spec.shape[-2:])}; "
                f"got {size}"
            )
        self.num_patches = self.height // self.rows * (self.width // size)
        self.patch_dim = self.channels * self.rows * size
        if self.num_patches < 2:
            raise ValueError(f"a flow over patches needs at least 2 of them, and {size} leaves one")

    def of(self, events: Tensor) -> Tensor:
        """The patches `(B, T, C)` of events `(B, *event_shape)`."""
        high, wide = self.height // self.rows, self.width // self.size
        cut = events.reshape(-1, self.channels, high, self.rows, wide, self.size)
        return cut.permute(0, 2, 4, 1, 3, 5).reshape(len(events), self.num_patches, self.patch_dim)

    def joined(self, patches: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The events `(B, *shape)` that have these patches; the inverse of `of`."""
        high, wide = self.height // self.rows, self.width // self.size
        cut = patches.reshape(-1, high, wide, self.channels, self.rows, self.size)
        return cut.permute(0, 3, 1, 4, 2, 5).reshape(-1, *shape)
