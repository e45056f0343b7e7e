"""What PixelCNN and Gated PixelCNN share: images, drawn dim by dim and row by row."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.masked import MaskedConv, colours_of
from arbench.networks.pooled import pooled
from arbench_pixelcnn.inputs import Encoding, Inputs, perturbed
from arbench_pixelcnn.masked_steps import DimReadout
from arbench_pixelcnn.state import DimwiseState


class DimwiseNetwork(nn.Module):
    """A network of masked convolutions over the dims of images; the last two are 1x1.

    Args:
        layout: images in raster order, drawn dim by dim.
        encoding: see `Inputs`.
        knots: see `Inputs`.
        units: units of the layers; at least one per colour.
        outputs: units before the last convolution; at least one per colour.
        first_kernel: odd and at least 3.
        dropout: a probability below 1.
        input_noise: in training, the share of the range by which values that are read move at
            most; see `perturbed`.

    Raises:
        ValueError: for any other layout, or for unacceptable settings.
    """

    def __init__(
        self,
        layout: Layout,
        encoding: Encoding,
        knots: Sequence[int] | None,
        *,
        units: int,
        outputs: int,
        first_kernel: int,
        dropout: float,
        input_noise: float,
    ) -> None:
        super().__init__()
        self.inputs = Inputs(layout, encoding, knots)
        num_colours = self.inputs.num_colours
        if min(units, outputs) < num_colours:
            raise ValueError(
                f"needs at least one unit for each of {num_colours} colours, got {units} in the "
                f"layers and outputs={outputs}"
            )
        if first_kernel < 3 or first_kernel % 2 == 0:
            raise ValueError(f"first_kernel must be odd and at least 3, got {first_kernel}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be a probability below 1, got {dropout}")
        if not 0 <= input_noise <= 1:
            raise ValueError(f"input_noise must be a share of the range, got {input_noise}")
        self.input_noise = input_noise
        self.num_values = layout.alphabet_size if input_noise else 0

    def add_readout(self, stream: Tensor, outputs: int, num_params: int) -> None:
        """Add the last two convolutions, from units of the given colours `(I,)` to parameters."""
        num_colours = self.inputs.num_colours
        last = colours_of(outputs, num_colours)
        params = colours_of(num_colours * num_params, num_colours)
        self.before_last = MaskedConv(stream, last, above=0, reach=0, kind="B")
        self.last = MaskedConv(last, params, above=0, reach=0, kind="B", gain=1.0)

    def readout(self, batch_size: int) -> DimReadout:
        """The last two convolutions, one dim at a time, for the state of one batch."""
        return DimReadout(self.before_last, self.last, batch_size, self.inputs.num_colours)

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site in one pass.

        Args:
            sites: `(B, T, 1)` int64 in [0, K), or floating point for real data.

        Returns:
            `(B, T, P)`; entry t depends on sites before t alone.
        """
        x = F.relu(self.stream(self._pictures(sites)))
        return self.inputs.to_params(self.last(F.relu_(self.before_last(x))))

    def features(self, sites: Tensor) -> Tensor:
        """Means of the positive parts of the stream in the middle, `(B, 16 I)`.

        See `FeatureNetwork` and `pooled`.
        """
        return pooled(F.relu(self.stream(self._pictures(sites), half=True)))

    def _pictures(self, sites: Tensor) -> Tensor:
        if self.training and self.input_noise:
            sites = perturbed(sites, self.num_values, self.input_noise)
        return self.inputs.pictures(self.inputs.encoded(sites, self.last.weight.dtype))

    @abstractmethod
    def stream(self, pictures: Tensor, *, half: bool = False) -> Tensor:
        """What the last two convolutions read, `(B, I, H, W)`, from the units of the pictures.

        With `half` it is the same after half of the layers.
        """

    @abstractmethod
    def init_state(self, batch_size: int) -> DimwiseState:
        """Rows of zeros, and the weights as steps need them."""

    @torch.no_grad()
    def step(
        self, state: DimwiseState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, DimwiseState]:
        """Parameters `(B, P)` of a site; those of all sites cost about one forward pass.

        See `SteppingNetwork.step`.
        """
        pixel, colour = divmod(site, self.inputs.num_colours)
        row, column = divmod(pixel, self.inputs.width)
        if previous is not None:
            state.take(previous, site - 1)
        if column == 0 and colour == 0:
            state.start_row(row)
        return state.readout(state.features(column, colour), colour), state
