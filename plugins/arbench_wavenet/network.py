"""WaveNet: dilated causal convolutions, gated, with residual and skip connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from arbench import Layout, NativeStep
from arbench.networks.dropout import unit_dropout
from arbench.networks.site_vectors import SiteLookup, SiteVectors
from arbench_wavenet.state import LayerState, WaveNetState


class WaveNet(nn.Module):
    """A stack of dilated causal convolutions over the sites, in any order.

    Source: van den Oord et al., "WaveNet: a generative model for raw audio", 2016, equation 2 and
    figure 4; sampling after Paine et al., "Fast WaveNet generation algorithm", 2016. Deviations:
    the 1x1 convolutions within layers have no biases (the gates and the output layers have
    biases); dropout is ours. The paper feeds one-hot values to a convolution; here a vector is
    looked up for each value, which is the same.

    Layers start with Glorot and Bengio's uniform initialisation. The 1x1 convolutions are divided
    by the root of the number of layers, so that the size of their sum does not depend on it. The
    vectors of values start standard normal.

    Args:
        layout: any order.
        num_params: P.
        channels: C, width of the residual stream.
        skip_channels: S, width of the sum of skip connections.
        num_blocks: number of blocks; each repeats the dilations.
        dilations: distance between the taps of each layer of a block, in sites.
        kernel_size: taps per layer.
        ordinal: add a multiple of a discrete value to its vector, so that neighbouring values
            start with similar vectors.
        coordinates: add vectors for the position of a site in the event, such as row and column.
        dropout: probability that a training step drops a gated unit.

    Raises:
        ValueError: for sizes below 1, a kernel below 2 or a dropout outside [0, 1).

    Attributes:
        receptive_field: how many earlier sites the parameters of a site see.
    """

    tiny_hyperparameters: ClassVar = {
        "channels": 6,
        "skip_channels": 16,
        "num_blocks": 1,
        "dilations": (1, 2, 4),
    }

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        channels: int = 32,
        skip_channels: int = 64,
        num_blocks: int = 2,
        dilations: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
        kernel_size: int = 2,
        ordinal: bool = False,
        coordinates: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(channels, skip_channels, num_blocks) < 1 or not dilations or min(dilations) < 1:
            raise ValueError(
                "channels, skip_channels, num_blocks and every dilation must be at least 1, got "
                f"{channels}, {skip_channels}, {num_blocks} and {list(dilations)}"
            )
        if kernel_size < 2:
            raise ValueError(f"kernel_size must be at least 2, got {kernel_size}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be a probability below 1, got {dropout}")
        all_dilations = [dilation for _ in range(num_blocks) for dilation in dilations]
        self.receptive_field = 1 + (kernel_size - 1) * sum(all_dilations)
        self.dropout = dropout
        self.inputs = SiteVectors(layout, channels, ordinal=ordinal, coordinates=coordinates)
        scale = len(all_dilations) ** -0.5
        last = len(all_dilations) - 1
        self.layers = nn.ModuleList(
            GatedLayer(channels, skip_channels, kernel_size, dilation, scale, has_next=i < last)
            for i, dilation in enumerate(all_dilations)
        )
        self.hidden = nn.Linear(skip_channels, skip_channels)
        self.outputs = nn.Linear(skip_channels, num_params)

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site in one pass.

        Args:
            sites: `(B, T, site_dim)` int64 in [0, K), or floating point for real data.

        Returns:
            `(B, T, P)`; entry t depends on the `receptive_field` sites before t alone.
        """
        params: Tensor = self.outputs(self.hidden(self._skips(sites, len(self.layers))).relu())
        return params

    def features(self, sites: Tensor) -> Tensor:
        """The mean over all sites of what half of the layers say, `(B, S)`.

        See `FeatureNetwork`.
        """
        return self._skips(sites, (len(self.layers) + 1) // 2).mean(1)

    def _skips(self, sites: Tensor, num_layers: int) -> Tensor:
        """The positive part of the skip connections' sum `(B, T, S)` over the first layers."""
        values = self.inputs(sites)
        total: Tensor | None = None
        for layer in self.layers[:num_layers]:
            values, skip = layer(values, self.dropout)
            total = skip if total is None else total + skip
        assert total is not None  # there is at least one layer
        return total.relu()

    @torch.no_grad()
    def init_state(self, batch_size: int) -> WaveNetState:
        """Weights as a step needs them, and empty queues."""
        channels, skips = len(self.inputs.start), self.hidden.in_features
        running = self.inputs.start.new_zeros(channels + skips, batch_size)
        return WaveNetState(
            lookup=SiteLookup(self.inputs),
            vectors=running.new_empty(batch_size, channels),
            running=running,
            stream=running[:channels],
            skips=running[channels:],
            layers=[layer.make_state(batch_size) for layer in self._gated_layers],
        )

    @torch.no_grad()
    def step(
        self, state: WaveNetState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, WaveNetState]:
        """Parameters `(B, P)` of a site, at the same cost for all; see `SteppingNetwork.step`."""
        state.lookup(previous, site, state.vectors)
        state.stream.copy_(state.vectors.T)
        state.skips.zero_()
        for layer in state.layers:
            layer.advance(state, site)
        hidden = self.hidden(state.skips.relu().T).relu()
        return self.outputs(hidden), state

    @torch.no_grad()
    def native_step(self, batch_size: int) -> NativeStep:
        """See `NativeSteppingNetwork`."""
        from arbench_wavenet.native import step

        layers, rows, places = self._gated_layers, self.inputs.rows(), self.inputs.of_places()
        assert rows is not None  # values are discrete
        channels, num_skips = len(self.inputs.start), self.hidden.in_features
        mix = [
            torch.cat((rows.new_zeros(channels, channels), layer.skip.weight))
            if layer.residual is None
            else torch.cat((layer.residual.weight, layer.skip.weight))
            for layer in layers
        ]
        weights = (
            self.inputs.start,
            rows,
            rows[:0] if places is None else places,
            torch.tensor([layer.dilation for layer in layers]),
            torch.stack([layer.gates.weight for layer in layers]),
            torch.stack([layer.gates.bias for layer in layers]),
            torch.stack(mix),
            self.hidden.weight,
            self.hidden.bias,
            self.outputs.weight,
            self.outputs.bias,
        )
        num_taps = layers[0].gates.in_features // channels
        state = (
            (sum(layer.reach for layer in layers), channels),
            (num_taps, channels),
            (2 * channels,),
            (channels + num_skips,),
            (num_skips,),
        )
        return NativeStep(step, weights, state)

    @property
    def _gated_layers(self) -> list[GatedLayer]:
        return [layer for layer in self.layers if isinstance(layer, GatedLayer)]


class GatedLayer(nn.Module):
    """One layer: `z = tanh(W_f * x) sigmoid(W_g * x)`; the next one reads `x + W_r z`.

    Args:
        channels: C.
        skip_channels: S.
        kernel_size: taps.
        dilation: sites between taps.
        scale: factor on the initial weights of the 1x1 convolutions.
        has_next: whether a layer follows; without one there is no `W_r`.
    """

    def __init__(
        self,
        channels: int,
        skip_channels: int,
        kernel_size: int,
        dilation: int,
        scale: float,
        *,
        has_next: bool,
    ) -> None:
        super().__init__()
        self.dilation = dilation
        self.reach = (kernel_size - 1) * dilation
        # Columns: the channels of the tap at this site, then of the nearest older tap, and so on.
        self.gates = nn.Linear(kernel_size * channels, 2 * channels)
        self.skip = nn.Linear(channels, skip_channels, bias=False)
        self.residual = nn.Linear(channels, channels, bias=False) if has_next else None
        nn.init.xavier_uniform_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)
        for mixing in (self.skip, self.residual):
            if mixing is not None:
                nn.init.xavier_uniform_(mixing.weight, gain=scale)

    def forward(self, values: Tensor, dropout: float) -> tuple[Tensor, Tensor]:
        """What the next layer reads, and the skip connection.

        Args:
            values: `(B, T, C)`.
            dropout: probability that a gated unit is dropped.

        Returns:
            `(B, T, C)` and `(B, T, S)`.
        """
        padded = nn.functional.pad(values, (0, 0, self.reach, 0))
        num_sites = values.shape[1]
        firsts = range(self.reach, -1, -self.dilation)
        taps = torch.cat([padded[:, first : first + num_sites] for first in firsts], -1)
        filters, switches = self.gates(taps).chunk(2, -1)
        gated = unit_dropout(filters.tanh() * switches.sigmoid(), dropout, self.training)
        skip: Tensor = self.skip(gated)
        return (values if self.residual is None else values + self.residual(gated)), skip

    def make_state(self, batch_size: int) -> LayerState:
        """Weights as a step needs them, and a queue for this layer."""
        channels = self.gates.out_features // 2
        # sigmoid(a) = (1 + tanh(a / 2)) / 2: halving the switches' weights and the gated units
        # leaves one tanh for all gates.
        half = self.gates.weight.new_ones(2 * channels, 1)
        half[channels:] = 0.5
        weight = half * self.gates.weight
        residual = weight.new_zeros(channels, channels)
        if self.residual is not None:
            residual = self.residual.weight
        return LayerState(
            taps=[tap.contiguous() for tap in torch.split(weight, channels, dim=1)],
            bias=(half * self.gates.bias.unsqueeze(1)).expand(-1, batch_size).contiguous(),
            mix=0.5 * torch.cat([residual, self.skip.weight]),
            dilation=self.dilation,
        )
