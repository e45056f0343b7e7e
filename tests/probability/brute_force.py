"""What tests compare with: distributions over tiny events, written out as tables in numpy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from arbench.probability.events import EventSpec
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing.toys import TINY_SPECS, LinearNetwork, SteppingTable, TableNetwork, all_events

LAYOUTS = {
    f"{name}-{'raster' if seed is None else 'permuted'}": (
        Layout(spec) if seed is None else Layout.permuted(spec, seed)
    )
    for name, spec in TINY_SPECS.items()
    for seed in (None, 1)
}


class Dropping(nn.Module):
    """A network whose dropout shows whenever it is on."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.inner = LinearNetwork(layout, 1, scale=2.0)
        self.dropout = nn.Dropout(0.5)
        self.frozen = nn.Dropout(0.5)

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters `(B, T, 1)`."""
        params: Tensor = self.frozen(self.dropout(self.inner(sites)))
        return params


def scored_after(spec: EventSpec, num_events: int) -> Tensor:
    """Masks `(num_events, *shape)` of all dims but a random number of those that come first."""
    raster = Layout(spec).to_events(torch.arange(spec.num_dims)[None, :, None])
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(spec.num_dims + 1, (num_events,), generator=generator)
    return raster >= first.view(-1, *[1] * len(spec.shape))


def table_model(layout: Layout, *, seed: int = 0, scale: float = 2.0, step: bool = True) -> Model:
    """A table with the natural head, in float64."""
    head = natural_head(layout)
    network = SteppingTable if step else TableNetwork
    tables = network(layout, head.num_params, seed=seed, scale=scale)
    return Model(tables, head, layout).double().eval()


def table_log_probs(model: Model) -> NDArray[np.float64]:
    """`log p(x)` of every event in the order of `all_events`, by the chain rule in numpy."""
    tables = [t.detach().numpy() for t in model.network.tables]
    size = model.layout.alphabet_size
    order = model.layout.permutation.tolist()
    log_probs = []
    for event in all_events(model.spec).numpy():
        raster = np.moveaxis(event, 0, -1).reshape(-1) if event.ndim == 3 else event
        total, row = 0.0, 0
        for table, dim in zip(tables, order, strict=True):
            logits = table[row]
            if len(logits) == 1:
                logits = np.array([0.0, logits[0]])
            total += logits[raster[dim]] - np.log(np.exp(logits).sum())
            row = row * size + int(raster[dim])
        log_probs.append(total)
    return np.array(log_probs)


def counts(samples: Tensor, spec: EventSpec) -> NDArray[np.int64]:
    """How often each event of `all_events` was drawn."""
    size = int(all_events(spec).max()) + 1
    flat = samples.flatten(1).numpy()
    codes = flat @ (size ** np.arange(spec.num_dims - 1, -1, -1))
    return np.bincount(codes, minlength=size**spec.num_dims)


def chi_square_p(found: NDArray[np.int64], probs: NDArray[np.float64]) -> float:
    """Pearson's p-value; outcomes expected fewer than 5 times are pooled into one."""
    assert found[probs == 0].sum() == 0, "an impossible event was drawn"
    expected = probs * found.sum()
    rare = expected < 5
    cells = [*zip(found[~rare], expected[~rare], strict=True)]
    if expected[rare].sum() > 0:
        cells.append((found[rare].sum(), expected[rare].sum()))
    statistic = sum((f - e) ** 2 / e for f, e in cells)
    return float(stats.chi2.sf(statistic, len(cells) - 1))


def conditional(
    log_probs: NDArray[np.float64], spec: EventSpec, given: Tensor, known: Tensor
) -> NDArray[np.float64]:
    """`p(x | known dims of given)` of every event: agreeing events, renormalised."""
    agrees = (all_events(spec) == given)[:, known].all(1).numpy()
    probs = np.where(agrees, np.exp(log_probs), 0.0)
    return np.asarray(probs / probs.sum())


def known_prefix(layout: Layout, length: int) -> Tensor:
    """`event_shape` boolean: the first sites of the layout."""
    known = torch.zeros(1, layout.num_sites, layout.site_dim, dtype=torch.bool)
    known[:, :length] = True
    return layout.to_events(known)[0]
