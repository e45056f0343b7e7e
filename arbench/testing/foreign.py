"""`evaluate --check`: checks of a foreign density from outside.

    results = check_foreign(density, build)
    list(require(results))  # of arbench.testing.conformance: raises if one failed

`build`, if there is one, makes the same density for other events, given their spec. Then tiny ones
are gone through in full: nothing else can show that probabilities sum to one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.foreign import ForeignDensity
from arbench.probability.randomness import keyed_generator
from arbench.testing.cells import event_masses, interval_numbers, real_grid
from arbench.testing.conformance import Result, outcome
from arbench.testing.distributions import check_samples_follow, require_likely
from arbench.testing.foreign_scored import check_scored
from arbench.testing.interactions import describe_interactions
from arbench.testing.subject import ConformanceError, NotApplicableError
from arbench.testing.tiny import TinyEvents
from arbench.testing.toys import TINY_SPECS

Build = Callable[[EventSpec], ForeignDensity]
Check = Callable[[ForeignDensity], object]

_NUM_EVENTS = 32
_NUM_TINY_SAMPLES = 5000
# float32 sums of a few thousand terms; a mistake moves a number by much more.
_ROUNDING_NATS = 1e-4
_ROUNDING_SHARE = 1e-5
_SUM_TOLERANCE = 1e-5
_INTEGRAL_TOLERANCE = 1e-3
_INTEGRAL_BATCH = 1 << 16
_COARSE = 4  # intervals to one cell of the plane, so that enough samples fall into each
_MOST_DERIVED_DIMS = 512
_NUM_MOVES = 4
_LEAST_EFFECTIVE = 30.0
_MOST_ERRORS = 5.0
_TINY_REAL = EventSpec((2,), Real())


def check_foreign(
    density: ForeignDensity, build: Build | None = None, *, num_samples: int = 1000
) -> list[Result]:
    """The outcome of every check.

    Args:
        density: what to check, on events of its own.
        build: makes it for other events, or raises ValueError if it cannot. Without it nothing
            shows whether probabilities sum to one.
        num_samples: for the check of large samples; real ones take three times as many.
    """

    def fit(density: ForeignDensity) -> None:
        check_samples_fit(density, num_samples)

    own: dict[str, Check] = {
        "repeatable": check_repeatable,
        "batches": check_batches,
        "samples_repeat": check_samples_repeat,
        "scale": check_scale,
        "samples_fit": fit,
        "influence": check_influence,
    }
    tiny: dict[str, Check] = {
        "normalisation": check_normalised,
        "samples_follow": check_tiny_samples,
        "scored": check_scored,
    }
    results = [
        outcome(name, "own events", functools.partial(check, density))
        for name, check in own.items()
    ]
    for name, check in tiny.items():
        if build is None:
            reason = "there is no `build` to make it for events that can be gone through"
            results.append(Result(name, "tiny events", "not applicable", reason))
            continue
        for where, spec in _tiny_specs(density).items():
            results.append(
                outcome(name, where, functools.partial(_check_built, check, build, spec))
            )
    return results


def check_repeatable(density: ForeignDensity) -> None:
    """A second call says the same; a bound may be random."""
    events = _samples(density, _NUM_EVENTS)
    moved = _largest_move(_log_probs(density, events), _log_probs(density, events))
    if moved is not None and density.may_be_random:
        raise NotApplicableError(
            f"this bound is random: a second call moved it by {moved:.3g} nats"
        )
    if moved is not None:
        raise ConformanceError(f"a second call of log_prob moved it by {moved:.3g} nats")


def check_batches(density: ForeignDensity) -> None:
    """The events beside an event, their number and their order leave its log-probability alone."""
    _require_repeatable(density)
    events = _samples(density, _NUM_EVENTS)
    first = _log_probs(density, events)
    alone = torch.cat([_log_probs(density, event[None]) for event in events])
    for what, other in (
        ("evaluating events one at a time", alone),
        ("the order of events in the batch", _log_probs(density, events.flip(0)).flip(0)),
    ):
        if (moved := _largest_move(first, other)) is not None:
            raise ConformanceError(f"{what} moved log_prob by {moved:.3g} nats")


def check_samples_repeat(density: ForeignDensity) -> None:
    """Samples depend on the generator, and on nothing else."""
    first, second, other = (_samples(density, _NUM_EVENTS, seed) for seed in (0, 0, 1))
    if not torch.equal(first, second):
        raise ConformanceError(
            "equal generators give different samples: it draws from a source of its own; let "
            "sample take a `generator`"
        )
    if torch.equal(first, other):
        raise ConformanceError("different generators give equal samples: sample is not random")


def check_scale(density: ForeignDensity) -> None:
    """`log_det` is what the derivative of `to_input` says, at every event alike."""
    if density.is_probability:
        raise NotApplicableError("probabilities of discrete events do not scale")
    if density.spec.num_dims > _MOST_DERIVED_DIMS:
        raise NotApplicableError(f"events of more than {_MOST_DERIVED_DIMS} dims are too large")
    for event in _samples(density, 3).to(density.device):
        point = event if event.is_floating_point() else event.float()
        try:
            derivative = torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]
                lambda x: density.to_input(x[None]).flatten(), point, strict=True
            )
        except RuntimeError as error:
            raise NotApplicableError(f"torch cannot differentiate to_input: {error}") from error
        size = density.spec.num_dims
        if derivative.numel() != size**2:
            raise ConformanceError(
                f"to_input makes {derivative.numel() // size} numbers of {size} dims: no density "
                "of the one is a density of the other"
            )
        found = torch.linalg.slogdet(derivative.reshape(size, size).double()).logabsdet.item()
        if abs(found - density.log_det) > _ROUNDING_NATS + _ROUNDING_SHARE * abs(found):
            raise ConformanceError(
                f"log_det is stated as {density.log_det:.6g} nats, but to_input's derivative has "
                f"{found:.6g} at an event that was drawn"
            )


def check_samples_fit(density: ForeignDensity, num_samples: int = 1000) -> None:
    """Samples of any size follow `log_prob`, whatever it sums to.

    A move f that undoes itself and keeps volumes changes one dim of a sample x. If x follows p, a
    chain that takes the move with probability `s(D)`, where `D = log p(f(x)) - log p(x)` and s is
    the logistic function, is in balance (Barker, "Monte Carlo calculations of the radial
    distribution functions for a proton-electron plasma", 1965): as many go from x to f(x) as come
    back. So the mean of `s(D) a(D)` is 0 for every odd function a; here `a(D) = tanh(D / 2)`. It is
    tested at 5 standard errors, over samples.

    Raises:
        ConformanceError: if the mean is not 0, or a sample has no probability.
        NotApplicableError: for a bound; or where next to no move is ever likely, so that the mean
            rests on a few samples.
    """
    if density.kind == "bound":
        raise NotApplicableError("samples follow the density, and log_prob only bounds it")
    num_drawn = num_samples * (1 if isinstance(density.spec.domain, Discrete) else 3)
    drawn = _samples(density, num_drawn)
    moves = [_moved_terms(density, drawn, num_samples, seed) for seed in range(_NUM_MOVES)]
    terms = torch.stack(moves).mean(0)
    if terms.abs().sum() ** 2 < _LEAST_EFFECTIVE * terms.square().sum() or not bool(terms.any()):
        raise NotApplicableError("changing one dim of a sample is next to never likely")
    errors = (terms.mean() / (terms.std() / len(terms) ** 0.5)).item()
    if abs(errors) > _MOST_ERRORS:
        raise ConformanceError(
            f"samples do not follow log_prob: changing one dim should make them likelier as often "
            f"as it undoes such a change, but the balance is off by {errors:+.1f} standard errors "
            f"over {len(terms)} samples"
        )


def check_influence(density: ForeignDensity) -> str:
    """Which dims depend on each other: a report, since nobody knows which of them should.

    Returns:
        One sentence where some do not; see `arbench.testing.interactions`.
    """
    _require_repeatable(density)
    return describe_interactions(density)


def check_normalised(density: ForeignDensity) -> None:
    """Tiny events: the probabilities of all sum to 1, or the density integrates to 1.

    Those of a bound that is not random sum to 1 at most.
    """
    _require_repeatable(density)
    if density.is_probability:
        total = event_masses(density, TinyEvents(density.spec)).sum().item()
        tolerance, what = _SUM_TOLERANCE, "the probabilities of all events sum"
    else:
        total = _plane_masses(density).sum().item()
        tolerance, what = _INTEGRAL_TOLERANCE, "the density integrates"
    if total - 1 > tolerance or (density.kind != "bound" and 1 - total > tolerance):
        most = " at most" if density.kind == "bound" else ""
        raise ConformanceError(f"{what} to {total:.8g}, not to 1{most}")


def check_tiny_samples(density: ForeignDensity) -> None:
    """Tiny events: a chi-square test of samples against `log_prob`."""
    if density.kind == "bound":
        raise NotApplicableError("samples follow the density, and log_prob only bounds it")
    samples = _samples(density, _NUM_TINY_SAMPLES)
    if density.is_probability:
        check_samples_follow(density, samples)
        return
    masses = _plane_masses(density).flatten()
    outside = (1 - masses.sum()).clamp_min(0).reshape(1)
    side = round(len(masses) ** 0.5)
    numbers = interval_numbers(samples) // _COARSE  # beyond all intervals it is `side`
    cells = torch.where((numbers < side).all(1), numbers[:, 0] * side + numbers[:, 1], len(masses))
    require_likely(
        torch.bincount(cells, minlength=len(masses) + 1),
        torch.cat((masses, outside)),
        lambda cell: f"in cell {divmod(cell, side)} of {side} by {side}",
    )


def _tiny_specs(density: ForeignDensity) -> dict[str, EventSpec]:
    """Tiny events of the density's own sort: sequences, images or real numbers."""
    if isinstance(density.spec.domain, Real):
        return {"real-2": _TINY_REAL}
    rank = len(density.spec.shape)
    return {name: spec for name, spec in TINY_SPECS.items() if len(spec.shape) == rank}


def _check_built(check: Check, build: Build, spec: EventSpec) -> None:
    try:
        density = build(spec)
    except ValueError as error:
        raise NotApplicableError(f"cannot be built for {spec}: {error}") from error
    check(density)


def _samples(density: ForeignDensity, num_events: int, seed: int = 0) -> Tensor:
    return density.sample(num_events, generator=torch.Generator().manual_seed(seed)).cpu()


@torch.no_grad()
def _log_probs(density: ForeignDensity, events: Tensor) -> Tensor:
    return density.log_prob(events)


def _largest_move(first: Tensor, second: Tensor) -> float | None:
    """By how many nats the second differs most, if that is more than rounding."""
    moved = (first - second).abs()
    if bool((moved > _ROUNDING_NATS + _ROUNDING_SHARE * first.abs()).any()):
        return moved.max().item()
    return None


def _require_repeatable(density: ForeignDensity) -> None:
    try:
        check_repeatable(density)
    except ConformanceError as error:
        raise NotApplicableError(f"nothing can be said of random numbers: {error}") from error


def _moved_terms(density: ForeignDensity, drawn: Tensor, num_samples: int, seed: int) -> Tensor:
    """`s(D) tanh(D / 2)` of the first samples `(N,)`, each with one move; see `check_samples_fit`.

    The other samples say how far real numbers may move, two for each.
    """
    domain = density.spec.domain
    events, others = drawn[:num_samples], drawn[num_samples:]
    generator = keyed_generator(seed, "moves")  # not of the numbers that the samples are made of
    dims = torch.randint(density.spec.num_dims, (num_samples, 1), generator=generator)
    values = events.flatten(1).gather(1, dims)
    if isinstance(domain, Discrete):
        # v and (turn - v) mod K change places; among two values a turn of 1 is the only change.
        turns = torch.randint(domain.size, (num_samples, 1), generator=generator)
        turns = turns if domain.size > 2 else torch.ones_like(turns)
        new = (turns - values).remainder(domain.size)
    else:
        # Mirrored at the middle of what two other samples have there, so it stays in reach.
        middles = others.flatten(1).view(2, num_samples, -1).sum(0).gather(1, dims)
        new = middles - values
    moved = events.flatten(1).scatter(1, dims, new).view_as(events)
    before, after = _log_probs(density, events), _log_probs(density, moved)
    if not bool(before.isfinite().all()):
        raise ConformanceError("log_prob gives no probability to a sample that was drawn")
    change = after - before
    return change.sigmoid() * (change / 2).tanh()


def _plane_masses(density: ForeignDensity) -> Tensor:
    """What a density of two real dims integrates to over coarse cells of the plane, `(n, n)`."""
    points, log_widths, num_cells = real_grid()
    first, second = torch.meshgrid(points, points, indexing="ij")
    places = torch.stack((first.flatten(), second.flatten()), 1).to(density.dtype)
    batches = (places[i : i + _INTEGRAL_BATCH] for i in range(0, len(places), _INTEGRAL_BATCH))
    log_probs = torch.cat([_log_probs(density, batch) for batch in batches])
    masses = (log_probs + (log_widths[:, None] + log_widths).flatten()).exp()
    side = num_cells // _COARSE
    return masses.view(side, -1, side, len(points) // side).sum((1, 3))
