"""Purification: each dim becomes the likeliest value near it, given what became of those before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from brute_force import LAYOUTS, table_log_probs, table_model
from numpy.typing import NDArray
from torch import Tensor

from arbench import Categorical, Discrete, EventSpec, Layout, LogisticMixture, Model, purify
from arbench.testing.toys import SteppingTable, all_events
from arbench_nade.network import NADE
from arbench_pixelcnn.network import PixelCNN

SPEC = EventSpec((1, 3, 3), Discrete(9))


def by_listing(
    layout: Layout, probs: NDArray[np.float64], event: Tensor, radius: int, greedy: bool
) -> Tensor:
    """One event, purified with the probabilities of all events, in numpy."""
    listed = layout.to_sites(all_events(layout.spec)).flatten(1).numpy()
    own = layout.to_sites(event[None]).flatten().tolist()
    taken: list[int] = []
    for place, value in enumerate(own):
        told = taken if greedy else own[:place]
        fits = (listed[:, :place] == np.array(told, dtype=int)).all(1)
        near = range(max(0, value - radius), min(layout.alphabet_size - 1, value + radius) + 1)
        taken.append(max(near, key=lambda v: probs[fits & (listed[:, place] == v)].sum()))
    return layout.to_events(torch.tensor(taken).view(1, layout.num_sites, -1))[0]


@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "one-shot"])
@pytest.mark.parametrize("radius", [1, 9])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_it_is_what_the_probabilities_of_all_events_say(
    layout: Layout, radius: int, greedy: bool
) -> None:
    model = table_model(layout, seed=3)
    events = all_events(layout.spec)
    events = events[torch.randperm(len(events), generator=torch.Generator().manual_seed(0))[:6]]
    probs = np.exp(table_log_probs(model))
    each = [by_listing(layout, probs, event, radius, greedy) for event in events]
    expected = torch.stack(each)
    assert torch.equal(purify(model, events, radius, greedy=greedy, batch_size=7), expected)
    if layout.num_sites > 1 and radius == 1:
        assert not torch.equal(expected, events)


def pixelcnn(layout: Layout, num_params: int) -> PixelCNN:
    return PixelCNN(layout, num_params, hidden=6, num_blocks=2, first_kernel=3, outputs=9)


def nade(layout: Layout, num_params: int) -> NADE:
    return NADE(layout, num_params, hidden=8)


def drawn(layout: Layout, make: Callable[[Layout, int], torch.nn.Module], mixture: bool) -> Model:
    """A model with weights that say something: the first ones are nearly uniform."""
    head = LogisticMixture(layout, num_components=3) if mixture else Categorical(layout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Model(make(layout, head.num_params), head, layout)
        for weight in model.parameters():
            weight.data += 0.3 * torch.randn_like(weight)
    return model.eval()


@torch.no_grad()
def by_whole_forwards(model: Model, events: Tensor, radius: int, greedy: bool) -> Tensor:
    """A forward of the whole network for every dim, and `log_prob` of every value."""
    sites = model.sites_of(events).clone()
    own = sites.clone()
    for site in range(model.layout.num_sites):
        params = model.site_params(sites if greedy else own)[:, site]
        values = torch.arange(model.layout.alphabet_size)[:, None, None]
        every = values.expand(-1, len(events), 1)
        log_probs = model.head.log_prob(params.expand(len(values), -1, -1), every).T
        far = (values[:, 0, 0] - own[:, site]).abs() > radius
        sites[:, site, 0] = log_probs.masked_fill(far, -torch.inf).argmax(1)
    return model.layout.to_events(sites)


@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "one-shot"])
@pytest.mark.parametrize(
    ("make", "layout", "mixture"),
    [
        (pixelcnn, Layout(EventSpec((1, 6, 6), Discrete(256))), False),
        (pixelcnn, Layout(EventSpec((1, 6, 6), Discrete(256))), True),
        (pixelcnn, Layout(EventSpec((3, 3, 3), Discrete(16))), False),
        (nade, Layout.permuted(EventSpec((1, 4, 5), Discrete(256)), 1), False),
    ],
    ids=["pixelcnn", "logistics", "colours", "nade-permuted"],
)
def test_steps_take_the_pixels_that_whole_forwards_take(
    make: Callable[[Layout, int], torch.nn.Module], layout: Layout, mixture: bool, greedy: bool
) -> None:
    model = drawn(layout, make, mixture)
    size = layout.alphabet_size
    shape = (2, *layout.spec.shape)
    events = torch.randint(size, shape, generator=torch.Generator().manual_seed(1))
    radius = size * 3 // 10
    expected = by_whole_forwards(model, events, radius, greedy)
    assert torch.equal(purify(model, events, radius, greedy=greedy), expected)
    assert (expected != events).float().mean() > 0.5


def test_a_radius_of_0_changes_nothing_and_that_of_all_levels_forgets_the_event() -> None:
    layout = Layout(SPEC)
    model = drawn(layout, pixelcnn, mixture=False)
    events = torch.randint(9, (20, 1, 3, 3), generator=torch.Generator().manual_seed(1))
    assert torch.equal(purify(model, events, 0), events)
    assert len(purify(model, events, 8).unique(dim=0)) == 1
    for radius in (1, 3):
        purified = purify(model, events.to(torch.uint8), radius)
        assert purified.dtype == torch.int64
        assert (purified - events).abs().max() == radius


def test_purified_events_are_likelier_than_their_neighbours_on_average() -> None:
    model = drawn(Layout(SPEC), pixelcnn, mixture=False)
    generator = torch.Generator().manual_seed(1)
    events = torch.randint(9, (50, 1, 3, 3), generator=generator)
    moved = (events + torch.randint(-2, 3, events.shape, generator=generator)).clamp(0, 8)
    assert model.log_prob(purify(model, events, 2)).mean() > model.log_prob(moved).mean() + 1


def test_the_channels_of_a_pixel_come_one_after_the_other() -> None:
    """A head of whole pixels tells what the first channels say about the next."""
    layout = Layout(EventSpec((3, 1, 2), Discrete(4)), sites="pixel")
    head = LogisticMixture(layout, num_components=2)
    model = Model(SteppingTable(layout, head.num_params, seed=2), head, layout).double().eval()
    events = torch.randint(4, (20, 3, 1, 2), generator=torch.Generator().manual_seed(1))
    listed = all_events(layout.spec)
    with torch.no_grad():
        probs = model.log_prob(listed).exp()
    dims, own = layout.to_sites(listed).flatten(1), layout.to_sites(events).flatten(1)
    found = layout.to_sites(purify(model, events, 1)).flatten(1)
    for event, purified in zip(own, found, strict=True):
        for place in range(6):
            fits = (dims[:, :place] == purified[:place]).all(1)
            likely = [float(probs[fits & (dims[:, place] == value)].sum()) for value in range(4)]
            near = [value for value in range(4) if abs(value - int(event[place])) <= 1]
            assert int(purified[place]) == max(near, key=lambda value: likely[value])


def test_progress_counts_every_dim() -> None:
    done: list[int] = []
    events = torch.zeros(5, 1, 3, 3, dtype=torch.int64)
    model = drawn(Layout(SPEC), nade, mixture=False)
    purify(model, events, 1, batch_size=2, progress=done.append)
    assert sum(done) == 5 * 9


def test_what_makes_no_sense_is_refused() -> None:
    model = drawn(Layout(SPEC), nade, mixture=False)
    with pytest.raises(ValueError, match="at least 0 levels, got -1"):
        purify(model, torch.zeros(1, 1, 3, 3), -1)
    with pytest.raises(ValueError, match="9"):
        purify(model, torch.full((1, 1, 3, 3), 9), 1)
