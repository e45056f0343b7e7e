"""The blocks of PixelCNN and the layers of Gated PixelCNN, over a whole picture at once."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.dropout import unit_dropout
from arbench.networks.masked import MaskedConv, colours_of
from arbench.networks.shifted import ShiftedConv


class ResidualBlock(nn.Module):
    """`x + W_3 relu(W_2 relu(W_1 relu(x)))`: 1x1 from 2 h to h, 3x3, and 1x1 back to 2 h.

    Source: van den Oord et al., ICML 2016, figure 5 at the left.
    """

    def __init__(self, hidden: int, num_colours: int, last_gain: float, dropout: float) -> None:
        super().__init__()
        narrow, wide = colours_of(hidden, num_colours), colours_of(2 * hidden, num_colours)
        self.reduce = MaskedConv(wide, narrow, above=0, reach=0, kind="B")
        self.spread = MaskedConv(narrow, narrow, above=1, reach=1, kind="B")
        self.expand = MaskedConv(narrow, wide, above=0, reach=0, kind="B", gain=last_gain)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 2 h, H, W)` to the same."""
        # In place: nobody else reads what a convolution returns.
        hidden = F.relu_(self.spread(F.relu_(self.reduce(F.relu(x)))))
        out: Tensor = self.expand(unit_dropout(hidden, self.dropout, self.training))
        return out.add_(x)


def gate(features: Tensor) -> Tensor:
    """`tanh(a) * sigmoid(b)` of the two halves a and b of dim 1."""
    content, opening = features.chunk(2, 1)
    return content.tanh() * opening.sigmoid()


class GatedLayer(nn.Module):
    """One layer of both stacks.

    Source: van den Oord et al., NeurIPS 2016, figure 2. The first layer reads the values, with mask
    A and without a residual connection.

    Args:
        inputs: the colour of every unit that the horizontal stack reads.
        stream: the colour of every unit of the stacks after the gates.
        num_colours: number of colours of the pictures.
        kernel: width of both convolutions.
        is_first: whether this is the first layer; see above.
        gain: for the horizontal stack's residual convolution; see `MaskedConv`.
        dropout: see `GatedPixelCNN`.
    """

    def __init__(
        self,
        inputs: Tensor,
        stream: Tensor,
        num_colours: int,
        *,
        kernel: int,
        is_first: bool,
        gain: float,
        dropout: float,
    ) -> None:
        super().__init__()
        channels, reach = len(stream), kernel // 2
        halves = colours_of(channels, num_colours, repeats=2)
        # The first layer does not read the values of its own row: they were moved down.
        rows = reach if is_first else reach + 1
        self.vertical = ShiftedConv(len(inputs), 2 * channels, (rows, kernel), right=False)
        self.link = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.horizontal = MaskedConv(
            inputs, halves, above=0, reach=reach, kind="A" if is_first else "B", gain=1.0
        )
        self.residual = MaskedConv(stream, stream, above=0, reach=0, kind="B", gain=gain)
        self.is_first = is_first
        self.dropout = dropout

    def forward(
        self, vertical: Tensor, horizontal: Tensor, places: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Both stacks, `(B, I, H, W)` each, to `(B, p, H, W)` each; places are `(2 p, H, W)`."""
        above = self.vertical(vertical)
        if places is not None:
            above = above + places.to(above.dtype)
        gated = gate(self.link(above) + self.horizontal(horizontal))
        out = self.residual(unit_dropout(gated, self.dropout, self.training))
        return gate(above), out if self.is_first else horizontal + out
