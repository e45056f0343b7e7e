"""Gated PixelCNN: a vertical stack for the rows above, a horizontal one for the row itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.masked import colours_of
from arbench_pixelcnn.base import DimwiseNetwork
from arbench_pixelcnn.blocks import GatedLayer
from arbench_pixelcnn.inputs import Encoding
from arbench_pixelcnn.state import GatedPixelCNNState


class GatedPixelCNN(DimwiseNetwork):
    """PixelCNN of gated units in two stacks, which see all earlier pixels within reach.

    The vertical stack sees the rows above a pixel, a rectangle that grows with every layer. The
    horizontal stack sees the pixels at the left and reads the vertical one. Its units are divided
    among the colours: red sees the pixels before, green also sees red, and blue sees both. The
    vertical stack sees all colours of the rows above.

    Source: van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves and Kavukcuoglu, "Conditional
    image generation with PixelCNN decoders", NeurIPS 2016, sections 2.1 and 2.2, equation 2 and
    figure 2. Deviations: the picture is moved down by a row, not every layer's output; no
    conditioning; the output layers are those of PixelCNN; He's initialisation where a rectifier
    follows, with residual convolutions scaled by `num_layers ** -0.5`; dropout.

    Args:
        layout: images in raster order, drawn dim by dim.
        num_params: P.
        channels: p, units of each stack after the gates; at least one per colour.
        num_layers: gated layers after the first one.
        first_kernel: width of the first layer's kernels, odd and at least 3.
        outputs: units before the last convolution; at least one per colour.
        encoding: how a value enters: "scalar", "one-hot" or "ramps"; see `Inputs`.
        knots: of "ramps", the levels between; None has more of them near both ends.
        places: add a learned vector per pixel, at first 0, to the output of the first vertical
            convolution. It tells the network where in the picture it is; otherwise only borders
            within reach tell that.
        dropout: probability that a training step drops a gated unit of the horizontal stack.
        input_noise: share of the range by which values that the network reads move at most, in
            half of the events of training: so the density stays sensible near what it has seen.

    Raises:
        ValueError: for any other layout, or for unacceptable settings.
    """

    tiny_hyperparameters: ClassVar[dict[str, int]] = {
        "channels": 6,
        "num_layers": 2,
        "first_kernel": 3,
        "outputs": 9,
    }

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        channels: int = 32,
        num_layers: int = 10,
        first_kernel: int = 7,
        outputs: int = 32,
        encoding: Encoding = "scalar",
        knots: Sequence[int] | None = None,
        places: bool = False,
        dropout: float = 0.0,
        input_noise: float = 0.0,
    ) -> None:
        super().__init__(
            layout,
            encoding,
            knots,
            units=channels,
            outputs=outputs,
            first_kernel=first_kernel,
            dropout=dropout,
            input_noise=input_noise,
        )
        if num_layers < 1:
            raise ValueError(f"num_layers must be at least 1, got {num_layers}")
        num_colours = self.inputs.num_colours
        stream = colours_of(channels, num_colours)
        self.layers = cast(
            Sequence[GatedLayer],
            nn.ModuleList(
                GatedLayer(
                    stream if index else self.inputs.colours,
                    stream,
                    num_colours,
                    kernel=3 if index else first_kernel,
                    is_first=index == 0,
                    gain=1 / num_layers if index else 1.0,
                    dropout=dropout,
                )
                for index in range(num_layers + 1)
            ),
        )
        size = (2 * channels, self.inputs.height, self.inputs.width)
        self.places = nn.Parameter(torch.zeros(size)) if places else None
        self.add_readout(stream, outputs, num_params)

    def stream(self, pictures: Tensor, *, half: bool = False) -> Tensor:
        """The horizontal stack `(B, p, H, W)` after the last layer, or after half of them."""
        horizontal, places = pictures, self.places
        # Moved down by a row: a row of the vertical stack sees only the rows before.
        vertical = F.pad(pictures, (0, 0, 1, -1))
        for layer in self.layers[: (len(self.layers) + 1) // 2 if half else None]:
            vertical, horizontal = layer(vertical, horizontal, places)
            places = None  # only the first layer adds them
        return horizontal

    @torch.no_grad()
    def init_state(self, batch_size: int) -> GatedPixelCNNState:
        """See `DimwiseNetwork.init_state`."""
        return GatedPixelCNNState(
            self.inputs, self.readout(batch_size), [*self.layers], self.places, batch_size
        )
