"""Models with a native step, with weights that matter; samples compared up to edges of the CDF."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry

BINARY, LETTERS = EventSpec((1, 3, 4), Discrete(2)), EventSpec((9,), Discrete(5))
COLOURS = EventSpec((3, 2, 3), Discrete(3))
# How far the noise may lie from an edge where the two kernels draw different values.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}

Case = tuple[str, EventSpec, int | None, dict[str, Any]]
# Model, events, seed of the order, settings.
TINY: dict[str, Case] = {
    "nade": ("nade", BINARY, None, {"hidden": 20}),
    "nade-permuted": ("nade", BINARY, 3, {"hidden": 20, "activation": "sigmoid"}),
    "nade-letters": ("nade", LETTERS, 4, {"hidden": 20}),
    "nade-colours": ("nade", COLOURS, None, {"hidden": 20, "activation": "sigmoid"}),
    "fvsbn": ("fvsbn", BINARY, None, {"locality": 1.0, "kernel_grids": [1, 2]}),
    "fvsbn-permuted": ("fvsbn", BINARY, 3, {}),
    "fvsbn-letters": ("fvsbn", LETTERS, 4, {}),
    "fvsbn-colours": ("fvsbn", COLOURS, None, {}),
    "pixelcnn": ("pixelcnn", BINARY, None, {"hidden": 6, "num_blocks": 2, "outputs": 9}),
    "pixelcnn-colours": (
        "pixelcnn",
        COLOURS,
        None,
        {"hidden": 7, "num_blocks": 2, "outputs": 8, "encoding": "one-hot", "places": True},
    ),
    "wavenet": ("wavenet", BINARY, 3, {"channels": 6, "dilations": [1, 2], "coordinates": True}),
    "wavenet-letters": (
        "wavenet",
        LETTERS,
        None,
        {"channels": 5, "dilations": [1, 2], "kernel_size": 3, "ordinal": True},
    ),
    "gpt": ("gpt", BINARY, 3, {"num_layers": 2, "width": 8, "num_heads": 2}),
    "gpt-letters": (
        "gpt",
        LETTERS,
        None,
        {"num_layers": 1, "width": 12, "num_heads": 3, "bias": False, "mlp": "swiglu"},
    ),
    "gpt-places": (
        "gpt",
        LETTERS,
        4,
        {"num_layers": 2, "width": 9, "num_heads": 3, "positions": "learned", "ordinal": True},
    ),
    "gpt-colours": (
        "gpt",
        COLOURS,
        None,
        {"num_layers": 1, "width": 6, "num_heads": 1, "coordinates": True},
    ),
    "lstm": ("lstm", BINARY, 3, {"hidden": 9, "num_layers": 2, "embedding": 4}),
    "lstm-letters": ("lstm", LETTERS, None, {"hidden": 10, "coordinates": True}),
    "made": ("made", BINARY, None, {"hidden": [30]}),
    "made-permuted": ("made", BINARY, 3, {"hidden": [30, 20], "activation": "tanh"}),
    "made-letters": ("made", LETTERS, 4, {"hidden": [30, 20], "direct": False}),
    "made-colours": ("made", COLOURS, None, {"hidden": [40], "activation": "softplus"}),
}


def model_of(case: Case, dtype: torch.dtype = torch.float32, size: float = 0.3) -> Model:
    """A model whose values depend on each other: its weights are that much larger than at first."""
    name, spec, seed, settings = case
    layout = Layout(spec) if seed is None else Layout.permuted(spec, seed)
    head = natural_head(layout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = registry().find(ModelEntry, name).load()(layout, head.num_params, **settings)
        for weights in network.parameters():
            # What starts at zero is there to be learned.
            weights.data += size * torch.randn_like(weights)
    return Model(network, head, layout).to(dtype).eval()


@torch.no_grad()
def num_at_edges(model: Model, noise: Tensor, left: Tensor, right: Tensor, tolerance: float) -> int:
    """How many of two kernels' samples part at an edge of the CDF.

    Args:
        model: that both come from.
        noise: `(B, T, 1)`, that both come from.
        left: `(B, *event_shape)`.
        right: likewise.
        tolerance: how close the noise is to the edge, where they part.

    Raises:
        AssertionError: if two of them part anywhere else.
    """
    ours, theirs = model.layout.to_sites(left), model.layout.to_sites(right)
    parted = (ours != theirs).any(-1)
    events = parted.any(1).nonzero()[:, 0]
    for event in events.tolist():
        site = int(parted[event].nonzero()[0])
        params = model.site_params(ours[event : event + 1])[0, site].double()
        logits = torch.cat((torch.zeros(1), params)) if len(params) == 1 else params
        edges = logits.softmax(-1).cumsum(-1)
        distance = float((edges - noise[event, site, 0]).abs().min())
        assert distance <= tolerance, f"event {event} parts at site {site}, {distance} off an edge"
    return len(events)


DIGITS, TEXT = EventSpec((1, 28, 28), Discrete(2)), EventSpec((256,), Discrete(65))
# Of the size that recipes have; the zoo's own weights come on top.
REAL: dict[str, Case] = {
    "nade": ("nade", DIGITS, None, {"hidden": 500}),
    "nade-permuted": ("nade", DIGITS, 5, {"hidden": 500}),
    "fvsbn": ("fvsbn", DIGITS, None, {}),
    "made": ("made", DIGITS, 5, {"hidden": [8000]}),
    "pixelcnn": ("pixelcnn", DIGITS, None, {}),
    "pixelcnn-colours": (
        "pixelcnn",
        EventSpec((3, 16, 16), Discrete(256)),
        None,
        {"num_blocks": 5, "encoding": "ramps"},
    ),
    "wavenet": ("wavenet", EventSpec((2000,), Discrete(256)), None, {}),
    "gpt": ("gpt", TEXT, None, {"num_layers": 6, "width": 384, "num_heads": 6}),
    "lstm": ("lstm", TEXT, None, {"hidden": 512, "num_layers": 3}),
}
ZOO = (
    *("mnist/nade", "mnist/fvsbn", "mnist/pixelcnn", "fsdd/wavenet"),
    *("mnist/gpt", "names/lstm"),
)
