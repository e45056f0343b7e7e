"""PixelRNN: LSTM layers that run over the rows or the diagonals of a picture."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.masked import MaskedConv, colours_of
from arbench.networks.pooled import pooled
from arbench.networks.raster import RasterDims
from arbench_pixelrnn.layers import DiagonalLayer, RowLayer
from arbench_pixelrnn.state import PixelRNNState


class PixelRNN(nn.Module):
    """The pixel recurrent neural network with Diagonal BiLSTM layers: it sees all earlier pixels.

    A masked convolution reads the pixels. Then each layer runs LSTMs of H units over the picture
    and adds their output to 2 H feature maps. Two 1x1 convolutions give the parameters. Units are
    divided among the colours, and masks let a colour see the earlier ones of its pixel.

    Source: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel recurrent neural networks", ICML
    2016, sections 3.1 to 3.4. Deviations: values enter as numbers in [-1, 1]; fewer and smaller
    layers by default; forget gates start open; see also `DiagonalLayer`.

    Args:
        layout: images in raster order, drawn dim by dim.
        num_params: P.
        hidden: H, units of an LSTM; at least one per colour.
        num_layers: LSTM layers.
        first_kernel: width of the first convolution, odd and at least 3.
        outputs: units before the last convolution; at least one per colour.

    Raises:
        ValueError: if the layout or an argument is not one of these.
    """

    layer: ClassVar[type[DiagonalLayer] | type[RowLayer]] = DiagonalLayer

    tiny_hyperparameters = {"hidden": 6, "num_layers": 2, "first_kernel": 3, "outputs": 24}  # noqa: RUF012
    # The rounding of a product depends on its number of pixels.
    reordered_sums = True

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        hidden: int = 32,
        num_layers: int = 4,
        first_kernel: int = 7,
        outputs: int = 64,
    ) -> None:
        super().__init__()
        self.images = RasterDims(layout)
        num_colours = self.images.num_colours
        if min(hidden, outputs) < num_colours or num_layers < 1:
            raise ValueError(
                f"needs a layer and at least one unit for each of {num_colours} colours, got "
                f"num_layers={num_layers}, hidden={hidden}, outputs={outputs}"
            )
        if first_kernel < 3 or first_kernel % 2 == 0:
            raise ValueError(f"first_kernel must be odd and at least 3, got {first_kernel}")
        self.num_params = num_params
        colours = colours_of(num_colours, num_colours)
        features = colours_of(2 * hidden, num_colours)
        last = colours_of(outputs, num_colours)
        self.reach = first_kernel // 2
        self.first = MaskedConv(
            colours, features, above=self.reach, reach=self.reach, kind="A", gain=1.0
        )
        self.layers = nn.ModuleList(self.layer(hidden, num_colours) for _ in range(num_layers))
        params = colours_of(num_colours * num_params, num_colours)
        self.outputs = nn.ModuleList(
            MaskedConv(inputs, units, above=0, reach=0, kind="B")
            for inputs, units in ((features, last), (last, params))
        )

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site.

        Args:
            sites: `(B, T, 1)`, int64 in [0, K) or floating point.

        Returns:
            `(B, T, P)`.
        """
        maps = self._maps(sites, len(self.layers))
        for convolution in self.outputs:
            maps = convolution(F.relu(maps))
        return self.images.to_params(maps)

    def features(self, sites: Tensor) -> Tensor:
        """Means of the positive parts of the maps after half of the layers, `(B, 32 H)`.

        See `FeatureNetwork` and `pooled`.
        """
        return pooled(F.relu(self._maps(sites, (len(self.layers) + 1) // 2)))

    def _maps(self, sites: Tensor, num_layers: int) -> Tensor:
        """The feature maps `(B, 2 H, height, width)` after so many layers."""
        pictures = self.images.pictures(self.images.scaled(sites, self.first.weight.dtype))
        maps: Tensor = self.first(pictures)
        for layer in self.layers[:num_layers]:
            maps = maps + layer(maps, pictures)
        return maps

    @torch.no_grad()
    def init_state(self, batch_size: int) -> PixelRNNState:
        """Room for one batch, and the weights cut into what a pixel needs."""
        height, width = self.images.height, self.images.width
        image = self.first.weight.new_zeros(
            batch_size, self.images.num_colours, height + self.reach, width + 2 * self.reach
        )
        first = self.first.masked.flatten(1).T.contiguous()
        return PixelRNNState(
            image,
            (first, self.first.bias),
            [layer.make_state(batch_size, width) for layer in self.layers],  # type: ignore[operator]
            [
                (c.masked[:, :, 0, 0].T.contiguous(), c.bias)
                for c in self.outputs
                if isinstance(c, MaskedConv)
            ],
        )

    @torch.no_grad()
    def step(
        self, state: PixelRNNState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, PixelRNNState]:
        """Parameters `(B, P)` of one site; `state` is updated in place.

        A pixel goes through the layers once for each of its colours. What the layers need from the
        row above is computed once per row.
        """
        reach, width = self.reach, self.images.width
        pixel, colour = divmod(site, self.images.num_colours)
        row, column = divmod(pixel, width)
        if previous is not None:
            last_pixel, drawn = divmod(site - 1, self.images.num_colours)
            last_row, last_column = divmod(last_pixel, width)
            place = (drawn, last_row + reach, last_column + reach)
            state.image[:, *place] = self.images.scaled(previous[:, 0], state.image.dtype)
        patch = state.image[:, :, row : row + reach + 1, column : column + 2 * reach + 1]
        weight, bias = state.first
        features = torch.addmm(bias, patch.flatten(1), weight)
        if colour == 0:
            above = state.image[:, :, row + reach - 1, reach : reach + width]
            for layer in state.layers:
                layer.arrive(row, column, above.permute(2, 0, 1))
        for layer in state.layers:
            features = features + layer.see(features)
        (weight, bias), (last, last_bias) = state.outputs
        features = torch.addmm(bias, features.relu_(), weight)
        own = slice(colour * self.num_params, (colour + 1) * self.num_params)
        return torch.addmm(last_bias[own], features.relu_(), last[:, own]), state


class RowPixelRNN(PixelRNN):
    """The pixel recurrent neural network with Row LSTM layers, which work on whole rows at once.

    In the rows above, a layer sees a triangle that widens by one column per row. The first
    convolution adds some columns. The rest is a blind spot.
    """

    layer = RowLayer
    known_failures = {  # noqa: RUF012
        "influence": "a Row LSTM sees a triangle of the rows above (the paper's section 3.1)"
    }
