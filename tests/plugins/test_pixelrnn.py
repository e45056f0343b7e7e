"""PixelRNN: who sees whom, against the paper's description and cell by cell."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from arbench.networks.masked import MaskedConv
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench_pixelrnn.layers import DiagonalLayer, RowLayer, lstm, skew, unskew
from arbench_pixelrnn.network import PixelRNN, RowPixelRNN


def make_layout(shape: tuple[int, int, int], size: int = 2) -> Layout:
    return Layout(EventSpec(shape, Discrete(size)))


def make_model(kind: type[PixelRNN], layout: Layout, **options: int) -> Model:
    head = natural_head(layout)
    settings = {"hidden": 6, "num_layers": 2, "first_kernel": 3, "outputs": 24, **options}
    return Model(kind(layout, head.num_params, **settings), head, layout).double().eval()


def random_sites(layout: Layout, batch_size: int) -> Tensor:
    return torch.randint(layout.alphabet_size, (batch_size, layout.num_sites, 1))


def seen(model: Model, site: int) -> set[int]:
    """The sites whose values reach a site's parameters, by gradients through real-valued inputs."""
    size = (4, model.layout.num_sites, 1)
    sites = torch.rand(size, dtype=torch.float64, requires_grad=True)
    params = model.network(sites)[:, site].sum()
    (gradient,) = torch.autograd.grad(params, sites)
    return set(gradient.abs().sum((0, 2)).nonzero().flatten().tolist())


def test_skewing_puts_diagonals_into_columns_and_back() -> None:
    maps = torch.arange(24.0).view(2, 1, 3, 4)
    skewed = skew(maps)
    assert skewed.shape == (2, 1, 3, 6)
    for row in range(3):
        for column in range(6):
            inside = row <= column < row + 4
            expected = maps[:, :, row, column - row] if inside else torch.zeros(2, 1)
            assert torch.equal(skewed[:, :, row, column], expected)
    assert torch.equal(unskew(skewed), maps)


def test_a_cell_is_the_papers_equation() -> None:
    gates = torch.randn(5, 8, dtype=torch.float64)
    cell = torch.randn(5, 2, dtype=torch.float64)
    hidden, after = lstm(gates, cell)
    for b in range(5):
        for u in range(2):
            i, f, o = (1 / (1 + math.exp(-gates[b, u + 2 * k].item())) for k in range(3))
            c = f * cell[b, u].item() + i * math.tanh(gates[b, u + 6].item())
            assert after[b, u].item() == pytest.approx(c, rel=1e-12)
            assert hidden[b, u].item() == pytest.approx(o * math.tanh(c), rel=1e-12)


def pixel_by_pixel(layer: DiagonalLayer, features: Tensor, values: Tensor) -> Tensor:
    """The diagonal layer in plain loops over pixels, from the paper's description."""
    batch, _, height, width = features.shape
    zero = features.new_zeros(batch, layer.hidden)
    total = features.new_zeros(batch, layer.hidden, height, width)
    for side, order in ((0, range(width)), (1, range(width - 1, -1, -1))):
        inputs = layer.inputs[side]
        assert isinstance(inputs, MaskedConv)
        weight, bias = inputs.masked[:, :, 0, 0], inputs.bias
        assert bias is not None
        states: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        step = -1 if side == 0 else 1
        for row in range(height):
            for column in order:
                before = states.get((row, column + step), (zero, zero))
                above = states.get((row - 1, column), (zero, zero))
                gates = features[:, :, row, column] @ weight.T + bias
                if side == 1:
                    gates = gates + values[:, :, row, column] @ layer.values.weight.T
                gates = gates + torch.cat((before[0], above[0]), -1) @ layer.states[side]
                states[row, column] = lstm(gates, before[1])
        for (row, column), (hidden, _) in states.items():
            if side == 0:
                total[:, :, row, column] += hidden
            elif row + 1 < height:
                total[:, :, row + 1, column] += hidden
    maps: Tensor = layer.residual(total)
    return maps


def test_diagonals_equal_a_walk_over_pixels() -> None:
    layer = DiagonalLayer(4, 3).double()
    features = torch.randn(2, 8, 3, 5, dtype=torch.float64)
    values = torch.randn(2, 3, 3, 5, dtype=torch.float64)
    expected = pixel_by_pixel(layer, features, values)
    torch.testing.assert_close(layer(features, values), expected, rtol=1e-12, atol=1e-13)


def test_a_row_reads_three_states_of_the_row_above() -> None:
    layer = RowLayer(3, 1).double()
    features = torch.randn(1, 6, 4, 7, dtype=torch.float64, requires_grad=True)
    output = layer(features, features[:, :1])[0, :, 3, 3].sum()
    (gradient,) = torch.autograd.grad(output, features)
    reached = gradient[0].abs().sum(0) > 0
    expected = torch.zeros(4, 7, dtype=torch.bool)
    for row in range(4):  # a triangle, and the pixel before each by the masked convolution
        high = 3 + (3 - row)
        expected[row, max(0, 3 - (3 - row) - 1) : high + 1] = True
    assert torch.equal(reached, expected)


@pytest.mark.parametrize("shape", [(1, 4, 5), (3, 3, 3)])
def test_the_diagonal_network_sees_everything_before_a_site_and_nothing_else(
    shape: tuple[int, int, int],
) -> None:
    layout = make_layout(shape, 3)
    model = make_model(PixelRNN, layout)
    for site in range(layout.num_sites):
        assert seen(model, site) == set(range(site))


def test_the_row_network_has_a_blind_spot() -> None:
    model = make_model(RowPixelRNN, make_layout((1, 3, 9)), num_layers=1)
    first_of_second_row = 9
    assert seen(model, first_of_second_row) == {0, 1}  # not the far end of the row above


@pytest.mark.parametrize("kind", [PixelRNN, RowPixelRNN])
@pytest.mark.parametrize(("shape", "size"), [((1, 5, 4), 2), ((3, 3, 4), 5), ((1, 1, 6), 3)])
def test_steps_equal_the_whole(
    kind: type[PixelRNN], shape: tuple[int, int, int], size: int
) -> None:
    layout = make_layout(shape, size)
    network = make_model(kind, layout, first_kernel=5).network
    for _ in range(2):
        sites = random_sites(layout, 3)
        with torch.no_grad():
            whole = network(sites)
        state = network.init_state(3)
        for site in range(layout.num_sites):
            previous = None if site == 0 else sites[:, site - 1]
            params, state = network.step(state, previous, site)
            torch.testing.assert_close(params, whole[:, site], rtol=1e-10, atol=1e-12)


def test_what_it_cannot_draw_is_refused() -> None:
    spec = EventSpec((1, 3, 3), Discrete(2))
    with pytest.raises(ValueError, match="raster order"):
        PixelRNN(Layout.permuted(spec, 1), 1)
    with pytest.raises(ValueError, match="raster order"):
        PixelRNN(Layout(EventSpec((9,), Discrete(2))), 1)
    with pytest.raises(ValueError, match="at least one unit for each of 3 colours"):
        PixelRNN(make_layout((3, 2, 2)), 2, hidden=2)
    with pytest.raises(ValueError, match="odd and at least 3, got 4"):
        PixelRNN(Layout(spec), 1, first_kernel=4)
