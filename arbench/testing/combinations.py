"""Checks combinations: copies, temperature, ensembles, padding, orders.

One network on tiny events makes several densities: alone, averaged with a copy, at a temperature,
as an ensemble of masks and one of orders. The events say the rest: words that end have padding,
there are whole pixels, and every kind comes in the raster scan and in another order. Of each
density the same is asked, by brute force: probabilities sum to 1, also those of a block after its
context, as in the windows of a stream; the distributions of its dims, if it offers them, make up
its log-probability; samplers agree; completions are samples of the true conditional. What would be
wrong together has to be refused. `docs/checks.md` has the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from arbench.probability.density import Density
from arbench.probability.ensemble import Ensemble
from arbench.probability.heads.base import Head
from arbench.probability.heads.copies import copies_of
from arbench.probability.heads.tempered import at_temperature
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing.cells import event_masses, event_numbers
from arbench.testing.conditionals import require_conditionals
from arbench.testing.distributions import (
    check_sums_to_one,
    require_likely,
    require_normalised,
    require_sum_of_one,
)
from arbench.testing.samplers import require_samplers_agree
from arbench.testing.subject import ConformanceError, Subject

_TEMPERATURE = 0.6
_NUM_GIVEN = 2  # sites; the two orders of an ensemble have those in common
_NUM_EVENTS = 12
_NUM_SAMPLES = 2000
_SUM_TOLERANCE = 1e-9
_ROUNDING_NATS = 1e-9
_MASK_SEEDS = (1, 2)
_OTHER_ORDERS = (1, 2)


def check_combinations(subject: Subject) -> None:
    """Copies, temperature, ensembles, completions, windows and padding, two at a time.

    Raises:
        ConformanceError: naming the combination, and what is wrong with it.
    """
    model = subject.sharpened()
    for what, check in (
        ("copies", lambda: _check_copies(model, subject)),
        ("temperature", lambda: _check_temperature(model)),
    ):
        _named(what, check)
    for what, density in _densities(model, subject):
        _named(what, lambda density=density: _check_density(density, subject))  # type: ignore[misc]
    if subject.tiny.end is not None:
        _named("padding in another order", lambda: _check_padding(model, subject))


def _named(what: str, check: Callable[[], object]) -> None:
    try:
        check()
    except ConformanceError as error:
        raise ConformanceError(f"{what}: {error}") from error
    except Exception as error:  # of somebody else's code: whatever it raises is evidence
        raise ConformanceError(f"{what}: {type(error).__name__}: {error}") from error


def _densities(model: Model, subject: Subject) -> Iterator[tuple[str, Density]]:
    """Everything that a network on these events may be part of, by name."""
    yield "alone", model
    tempered = _tempered(model)
    if tempered is not None:
        yield "temperature", tempered
    copies = _copies(model, subject)
    if copies is not None:
        yield "copies", copies
        tempered = _tempered(copies)
        if tempered is not None:
            yield "copies at a temperature", tempered
    if hasattr(model.network, "reordered"):
        own = subject.layout
        yield "an ensemble of masks", _ensemble(model, subject, [own, own])
        if subject.tiny.end is None:
            yield "an ensemble of orders", _ensemble(model, subject, [own, _swapped(own)])


def _tempered(model: Model) -> Model | None:
    """The model at a temperature; None if its head has none."""
    try:
        density = at_temperature(model, _TEMPERATURE)
    except ValueError:
        return None
    assert isinstance(density, Model)
    return density


def _copies(model: Model, subject: Subject) -> Model | None:
    """The model averaged with one of other weights; None where there can be no copies."""
    if hasattr(model.network, "fit"):
        return None  # it fits itself, so all copies would be alike
    networks: list[nn.Module] = [model.network, subject.fresh(seed=1).network]
    try:
        return Model(copies_of(networks, model.head), model.head, model.layout).eval()
    except ValueError:
        return None  # the head cannot average


def _ensemble(model: Model, subject: Subject, layouts: list[Layout]) -> Ensemble:
    return Ensemble(
        [
            Model(model.network.reordered(layout, seed), subject.head(layout), layout).eval()
            for seed, layout in zip(_MASK_SEEDS, layouts, strict=True)
        ]
    )


def _swapped(layout: Layout) -> Layout:
    """Another order, in which the first two sites have changed places and the rest is reversed."""
    first, second, *rest = layout.permutation.tolist()
    return Layout(layout.spec, order=[second, first, *reversed(rest)], sites=layout.sites)


def _check_density(density: Density, subject: Subject) -> None:
    """What every density has to keep."""
    masses = None if subject.tiny.is_real else event_masses(density, subject.tiny)
    if masses is not None:
        require_sum_of_one(masses)
    elif isinstance(density, Model):  # a mixture of joint densities has no cheap integral
        require_normalised(density, subject)
    if isinstance(density, Model):
        require_samplers_agree(density, subject)
    else:
        _check_refuses_temperature(density)
    _check_holes(density, subject)
    if masses is not None:
        _named("completions", lambda: _check_completions(density, subject, masses))
        if len(subject.spec.shape) == 1 and subject.tiny.end is None:
            _named("windows of a stream", lambda: _check_windows(density, subject))
    _named("conditionals", lambda: require_conditionals(density, subject))


def _check_copies(model: Model, subject: Subject) -> None:
    """A site's probability under copies is the mean of its probabilities under each."""
    copies = _copies(model, subject)
    if copies is None:
        return
    events = subject.random_events(_NUM_EVENTS, seed=20)
    singles = [Model(network, model.head, model.layout) for network in copies.network.networks]
    scored = subject.tiny.scored(events)
    with torch.no_grad():
        parts = torch.stack([single.site_log_probs(events, scored) for single in singles])
        found = copies.site_log_probs(events, scored)
    _require_equal(found, parts.double().exp().mean(0).log(), "the mean of its copies")


def _check_temperature(model: Model) -> None:
    """A site's probabilities are those of the model to the power of 1/T, normalised."""
    tempered = _tempered(model)
    if tempered is None:
        return
    layout, size = model.layout, model.layout.alphabet_size
    sites = torch.randint(size, (_NUM_EVENTS, layout.num_sites, 1), generator=_generator(21))
    with torch.no_grad():
        for t in range(layout.num_sites):
            every = sites.repeat_interleave(size, 0)
            every[:, t, 0] = torch.arange(size).repeat(len(sites))
            events = layout.to_events(every)
            before, after = (
                each.site_log_probs(events)[:, t].view(-1, size) for each in (model, tempered)
            )
            expected = (before / _TEMPERATURE).log_softmax(-1)
            _require_equal(after, expected, f"p^(1/{_TEMPERATURE}), normalised, at site {t}")


def _check_refuses_temperature(density: Density) -> None:
    """A mixture has no logits to divide."""
    try:
        at_temperature(density, _TEMPERATURE)
    except ValueError:
        return
    raise ConformanceError("is given a temperature, which a mixture of joint probabilities has not")


def _check_holes(density: Density, subject: Subject) -> None:
    """Given dims that are no prefix need another order, or a sum over what is missing before them.

    A network that answers for any order has the other order, and of those that go on in their own
    once the given dims are known the completions have the probabilities.
    """
    layout = subject.layout
    known = _sites(layout, slice(1, None))
    members = [density] if isinstance(density, Model) else [*getattr(density, "members", ())]
    if all(getattr(member.network, "any_order", False) for member in members):
        if subject.tiny.end is None and not subject.tiny.is_real:
            for holes in (known, _sites(layout, slice(1, None, 2))):
                joint = Ensemble([_with_known_first(m, holes, subject) for m in members])
                masses = event_masses(joint, subject.tiny)
                _named(
                    "completions of what is no prefix",
                    lambda masses=masses, holes=holes: _require_conditional(  # type: ignore[misc]
                        density, masses, holes, subject
                    ),
                )
        return
    try:
        density.sample(1, generator=_generator(22), given=_an_event(subject), known=known)
    except ValueError:
        return
    raise ConformanceError("completes what is no prefix in its order: no sample of a conditional")


def _check_completions(density: Density, subject: Subject, masses: Tensor) -> None:
    """Completions of a given prefix have the probabilities of all events that begin with it."""
    layout = subject.layout
    if layout.num_sites > _NUM_GIVEN:
        _require_conditional(density, masses, _sites(layout, slice(_NUM_GIVEN)), subject)


def _with_known_first(member: Model, known: Tensor, subject: Subject) -> Model:
    """A member in the order that begins with the known sites and goes on in its own."""
    sites = member.layout.to_sites(known[None])[0].all(-1)
    order = member.layout.permutation
    layout = Layout(
        subject.spec,
        order=[*order[sites].tolist(), *order[~sites].tolist()],
        sites=subject.tiny.sites,
    )
    return Model(member.network.reordered(layout, 0), member.head, layout).eval()


def _require_conditional(density: Density, masses: Tensor, known: Tensor, subject: Subject) -> None:
    """Completions have the conditional probabilities of events with those masses, `(N,)`."""
    tiny, given = subject.tiny, _an_event(subject)
    listed = tiny.listed()
    fits = (listed == given).masked_fill(~known, True).flatten(1).all(1)
    masses = masses * fits
    drawn = density.sample(_NUM_SAMPLES, generator=_generator(23), given=given, known=known)
    found = torch.bincount(event_numbers(drawn, tiny), minlength=len(masses))
    require_likely(found, masses / masses.sum(), lambda n: str(listed[n].flatten().tolist()))


def _check_windows(density: Density, subject: Subject) -> None:
    """What is scored after a context that is only fed has probabilities that sum to 1."""
    events = subject.tiny.listed()
    dims = torch.arange(subject.spec.num_dims)
    num_read = subject.spec.num_dims // 2
    with torch.no_grad():
        masses = density.log_prob(events, (dims >= num_read).expand_as(events)).exp()
    totals = masses.cpu().view(len(subject.tiny.values) ** num_read, -1).sum(1)
    worst = int((totals - 1).abs().argmax())
    if not abs(totals[worst] - 1) <= _SUM_TOLERANCE:
        raise ConformanceError(
            f"after the context number {worst} of {len(totals)} the probabilities of all blocks "
            f"sum to {totals[worst].item():.10g}, not to 1"
        )


def _check_padding(model: Model, subject: Subject) -> None:
    """In another order than the raster scan words have no likelihood, or one that sums to 1."""
    others = [layout for layout in map(subject.tiny.layout, _OTHER_ORDERS) if not layout.is_raster]
    densities: list[Density] = []
    for layout in others:
        head = subject.head(layout)
        network = _network_in(layout, head, model, subject)
        if network is not None:
            densities.append(Model(network, head, layout).eval())
    if hasattr(model.network, "reordered"):
        densities.append(_ensemble(model, subject, [subject.layout, others[0]]))
    for density in densities:
        try:
            check_sums_to_one(density, subject.tiny)
        except ValueError:  # as it has to be: what lies behind the end would be read
            continue


def _network_in(layout: Layout, head: Head, model: Model, subject: Subject) -> nn.Module | None:
    """The sharpened weights in another order; None if the network refuses it."""
    tiny = getattr(subject.network_class, "tiny_hyperparameters", {})
    try:
        network = subject.network_class(
            layout, head.num_params, **{**tiny, **subject.hyperparameters}
        )
        network.double().load_state_dict(model.network.state_dict())
    except (ValueError, RuntimeError):
        return None
    return network


def _require_equal(found: Tensor, expected: Tensor, what: str) -> None:
    """Raise unless log-probabilities are equal up to rounding, where they are not negligible."""
    off = ((found - expected).abs() / (1 + expected.abs())).max().item()
    if not off <= _ROUNDING_NATS:
        raise ConformanceError(f"log-probabilities of sites are {off:.2g} nats from {what}")


def _an_event(subject: Subject) -> Tensor:
    """One event `event_shape`; a word that has not ended where completions begin."""
    events = subject.random_events(200, seed=24)
    if subject.tiny.end is not None:
        events = events[(events[:, :_NUM_GIVEN] != subject.tiny.end).all(1)]
    return events[0]


def _sites(layout: Layout, which: slice) -> Tensor:
    """Which dims some sites hold, `event_shape` boolean."""
    known = torch.zeros(1, layout.num_sites, layout.site_dim, dtype=torch.bool)
    known[:, which] = True
    return layout.to_events(known)[0]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
