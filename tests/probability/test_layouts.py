"""Layouts: events to sites and back, in any order."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import Categorical
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing.cells import event_masses
from arbench.testing.tiny import TinyEvents
from arbench.testing.toys import JointCategorical, TableNetwork, all_events

SIZES = st.integers(1, 4)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    shape = draw(st.one_of(st.tuples(SIZES), st.tuples(SIZES, SIZES, SIZES)))
    sites: Literal["dim", "pixel"] = draw(
        st.sampled_from(("dim", "pixel") if len(shape) == 3 else ("dim",))
    )
    spec = EventSpec(shape, Discrete(4))
    num_sites = Layout(spec, sites=sites).num_sites
    order = draw(st.one_of(st.none(), st.permutations(range(num_sites))))
    return Layout(spec, order=order, sites=sites)


def numbered(layout: Layout, num_events: int = 2) -> torch.Tensor:
    """Events whose dims are all different."""
    count = num_events * layout.spec.num_dims
    return torch.arange(count).reshape(num_events, *layout.spec.shape)


@given(layouts())
def test_sites_and_events_round_trip(layout: Layout) -> None:
    events = numbered(layout)
    sites = layout.to_sites(events)
    assert sites.shape == (2, layout.num_sites, layout.site_dim)
    assert layout.num_sites * layout.site_dim == layout.spec.num_dims
    assert torch.equal(layout.to_events(sites), events)
    assert layout.to_events(sites).is_contiguous()
    assert torch.equal(layout.to_sites(layout.to_events(sites)), sites)


@given(layouts())
def test_coordinates_say_where_each_site_lies(layout: Layout) -> None:
    event = numbered(layout, 1)[0]
    sites = layout.to_sites(event[None])[0]
    for t, where in enumerate(layout.coordinates.tolist()):
        if len(layout.spec.shape) == 1:
            expected = event[where[0]].reshape(1)
        elif layout.sites == "pixel":
            expected = event[:, where[0], where[1]]
        else:
            expected = event[where[2], where[0], where[1]].reshape(1)
        assert torch.equal(sites[t], expected)


@given(layouts(), st.data())
def test_prefix_length_counts_leading_sites(layout: Layout, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, layout.num_sites))
    by_site = torch.zeros(1, layout.num_sites, layout.site_dim, dtype=torch.bool)
    by_site[:, :length] = True
    assert layout.prefix_length(layout.to_events(by_site)[0]) == length


@given(layouts(), st.data())
def test_anything_but_a_prefix_is_refused(layout: Layout, data: st.DataObject) -> None:
    bits = st.lists(st.booleans(), min_size=layout.spec.num_dims, max_size=layout.spec.num_dims)
    known = torch.tensor(data.draw(bits)).reshape(layout.spec.shape)
    flat = layout.to_sites(known[None])[0].flatten().tolist()
    whole = sum(flat) // layout.site_dim * layout.site_dim
    if flat == sorted(flat, reverse=True) and whole == sum(flat):
        assert layout.prefix_length(known) == whole // layout.site_dim
    else:
        with pytest.raises(ValueError, match="not a prefix in the model's order"):
            layout.prefix_length(known)


def test_raster_of_a_colour_image_is_channels_innermost() -> None:
    """Rows, then columns, then channels, against numpy's own transposition."""
    image = np.arange(3 * 2 * 5).reshape(3, 2, 5)
    layout = Layout(EventSpec((3, 2, 5), Discrete(4)))
    expected = np.moveaxis(image, 0, -1).reshape(-1)
    assert layout.to_sites(torch.tensor(image)[None]).flatten().tolist() == expected.tolist()
    assert layout.grid == (2, 5, 3)


def test_pixel_sites_hold_all_channels() -> None:
    image = np.arange(3 * 2 * 5).reshape(3, 2, 5)
    layout = Layout(EventSpec((3, 2, 5), Discrete(4)), sites="pixel")
    expected = np.moveaxis(image, 0, -1).reshape(10, 3)
    assert layout.to_sites(torch.tensor(image)[None])[0].tolist() == expected.tolist()
    assert layout.grid == (2, 5)


def test_grid_is_none_when_the_order_destroys_it() -> None:
    spec = EventSpec((1, 2, 3), Discrete(2))
    assert Layout(spec, order=[1, 0, 2, 3, 4, 5]).grid is None
    assert Layout(spec, order=range(6)).grid == (2, 3, 1)
    assert Layout(EventSpec((7,), Discrete(2))).grid == (7,)


def test_permuted_depends_on_the_seed_alone() -> None:
    spec = EventSpec((20,), Discrete(2))
    first = Layout.permuted(spec, 3)
    torch.manual_seed(99)
    assert torch.equal(first.permutation, Layout.permuted(spec, 3).permutation)
    assert not torch.equal(first.permutation, Layout.permuted(spec, 4).permutation)
    assert first.permutation.sort().values.tolist() == list(range(20))


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 1], [0, 1, 3], [1, 2, 3], [0, 1, 2, 3]])
def test_an_order_names_every_site_once(order: list[int]) -> None:
    with pytest.raises(ValueError, match="each of the 3 sites exactly once"):
        Layout(EventSpec((3,), Discrete(2)), order=order)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="needs images"):
        Layout(EventSpec((3,), Discrete(2)), sites="pixel")
    with pytest.raises(ValueError, match="expected events of shape"):
        Layout(EventSpec((3,), Discrete(2))).to_sites(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="needs discrete data"):
        _ = Layout(EventSpec((3,), Real())).alphabet_size


@given(layouts(), st.data())
def test_padding_that_a_scored_site_reads_is_refused(layout: Layout, data: st.DataObject) -> None:
    """By the definition: a site that is read, not scored, and further back in the raster scan."""
    num_sites, order = layout.num_sites, layout.permutation.tolist()
    mask = data.draw(st.lists(st.booleans(), min_size=num_sites, max_size=num_sites))
    reads_padding = any(
        mask[t] and not mask[u] and order[u] > order[t] for t in range(num_sites) for u in range(t)
    )
    by_site = torch.tensor(mask)[None, :, None].expand(1, num_sites, layout.site_dim)
    scored = layout.to_events(by_site)
    if reads_padding:
        with pytest.raises(ValueError, match="reads dims that are not"):
            layout.scored_sites(scored)
    else:
        assert layout.scored_sites(scored).tolist() == [mask]


@given(layouts(), st.integers(0, 64), st.integers(0, 64))
def test_context_is_never_refused_and_padding_never_in_the_raster_scan(
    layout: Layout, first: int, last: int
) -> None:
    place = layout.permutation[None, :, None].expand(1, layout.num_sites, layout.site_dim)
    layout.scored_sites(layout.to_events(place >= first))
    raster = Layout(layout.spec, sites=layout.sites)
    padded = raster.to_events(torch.arange(layout.num_sites)[None, :, None].expand_as(place) < last)
    raster.scored_sites(padded)


WORDS = TinyEvents(EventSpec((4,), Discrete(4)), end=0)


def words_model(layout: Layout) -> Model:
    head = Categorical(layout)
    return Model(TableNetwork(layout, 4, scale=2.0), head, layout).double()


def test_words_sum_to_one_in_the_raster_scan_and_have_no_probability_in_another_order() -> None:
    """Three letters, four places: what the refused orders would give is no distribution."""
    raster = words_model(WORDS.layout())
    assert event_masses(raster, WORDS).sum().item() == pytest.approx(1, abs=1e-12)
    events = WORDS.listed()
    scored = WORDS.scored(events)
    assert scored is not None
    off = []
    for seed in range(1, 6):
        model = words_model(WORDS.layout(seed))
        assert not model.layout.is_raster
        with pytest.raises(ValueError, match="events that differ in length need the raster scan"):
            model.log_prob(events, scored)
        counted = model.layout.to_sites(scored)[..., 0]
        total = (model.site_log_probs(events) * counted).sum(1).exp().sum().item()
        off.append(abs(total - 1))
    assert min(off) > 1e-3, off


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_a_block_after_its_context_sums_to_one_in_every_order(seed: int | None) -> None:
    """As in the windows of a stream: the first symbols are fed, the others scored."""
    model = words_model(WORDS.layout(seed))
    events = TinyEvents(WORDS.spec).listed()
    for num_read in range(4):
        scored = (torch.arange(4) >= num_read).expand(len(events), 4)
        masses = model.log_prob(events, scored).exp()
        totals = masses.view(4**num_read, -1).sum(1)  # the last dim counts fastest
        torch.testing.assert_close(totals, torch.ones_like(totals), rtol=0, atol=1e-12)


def test_pictures_that_end_at_a_pixel_sum_to_one() -> None:
    """What comes after the first black pixel is padding; a pixel is drawn and scored as a whole."""
    spec = EventSpec((2, 1, 3), Discrete(2))
    layout = Layout(spec, sites="pixel")
    head = JointCategorical(layout)
    model = Model(TableNetwork(layout, head.num_params, scale=2.0), head, layout).double()
    events = all_events(spec)
    is_black = (events == 0).all(1, keepdim=True)
    after_the_end = (is_black.cumsum(3) - is_black.long() > 0).expand_as(events)
    events = events[~(events.bool() & after_the_end).flatten(1).any(1)]  # padding is black
    is_black = (events == 0).all(1, keepdim=True)
    scored = (is_black.cumsum(3) - is_black.long() == 0).expand_as(events)
    assert not bool(scored.all())
    total = model.log_prob(events, scored).exp().sum().item()
    assert total == pytest.approx(1, abs=1e-12)
