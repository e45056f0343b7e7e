"""Normalisation checks, and chi-square tests that samples follow `log_prob`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy import stats
from torch import Tensor

from arbench.probability.density import Density
from arbench.probability.events import Real
from arbench.probability.model import Model
from arbench.testing.cells import (
    cell_name,
    cell_numbers,
    event_masses,
    event_numbers,
    site_masses,
)
from arbench.testing.subject import ConformanceError, Subject
from arbench.testing.tiny import TinyEvents

_NUM_SAMPLES = 5000
_NUM_REAL_SAMPLES = 2000
_SIGNIFICANCE = 1e-6
_MIN_EXPECTED = 5.0


def check_sums_to_one(density: Density, tiny: TinyEvents | None = None) -> None:
    """The probabilities of all events of a discrete density sum to 1 within 1e-9.

    Args:
        density: of few events.
        tiny: which events; by default all of the density's spec.

    Raises:
        ConformanceError: with the sum.
    """
    require_sum_of_one(event_masses(density, tiny or TinyEvents(density.spec)))


def require_sum_of_one(masses: Tensor) -> None:
    """Raise unless the probabilities of all events `(N,)` sum to 1 within 1e-9."""
    total = masses.sum().item()
    if not abs(total - 1) <= 1e-9:
        raise ConformanceError(
            f"the probabilities of all {len(masses)} events sum to {total:.10g}, not to 1"
        )


def check_integrates_to_one(model: Model, contexts: Tensor) -> None:
    """Every conditional density of real dims integrates to 1 within 1e-6.

    Probabilities of the discrete dims of a mixed table sum to 1 within 1e-9.

    Args:
        model: of real or mixed dims, one per site.
        contexts: `(N, *shape)`; what stands before a site is given.

    Raises:
        ConformanceError: with the site and the integral.
    """
    for context in model.layout.to_sites(contexts):
        for site in range(model.layout.num_sites):
            total = site_masses(model, context, site).sum().item()
            is_real = isinstance(model.layout.domain_of(site), Real)
            if not abs(total - 1) <= (1e-6 if is_real else 1e-9):
                what = "density integrates" if is_real else "probabilities sum"
                raise ConformanceError(
                    f"of site {site}, given those before it, the {what} to {total:.10g}, not to 1"
                )


def chi_square(found: Tensor, expected: Tensor) -> tuple[float, int | None]:
    """How likely counts as uneven as these are.

    Pearson's test over all cells; those with fewer than 5 expected samples are pooled. A pool that
    itself expects fewer is tested alone, by its Poisson tail: no common cell hides it. A sample in
    a cell that expects none, or what is no number, is impossible.

    Args:
        found: `(N,)`, how many samples fell into each cell.
        expected: `(N,)` float64, how many should.

    Returns:
        The p-value, and the cell that differs most; None is the pool.
    """
    impossible = (found > 0) & ~(expected > 0)
    if bool(impossible.any()):
        return 0.0, int((found * impossible).argmax())
    is_alone = expected >= _MIN_EXPECTED
    alone = is_alone.nonzero().flatten()
    counts, means = found[alone].double(), expected[alone]
    pooled = found[~is_alone].sum().double(), expected[~is_alone].sum()
    tail = None
    if pooled[1] >= _MIN_EXPECTED:
        counts = torch.cat((counts, pooled[0].reshape(1)))
        means = torch.cat((means, pooled[1].reshape(1)))
    elif pooled[1] > 0:
        # So rare that too few cannot be told from enough.
        tail = float(stats.poisson.sf(pooled[0].item() - 1, pooled[1].item()))
    terms = (counts - means) ** 2 / means
    p_value = float(stats.chi2.sf(terms.sum().item(), len(terms) - 1)) if len(terms) > 1 else 1.0
    if tail is not None and tail < p_value:
        return 2 * tail, None
    worst = int(terms.argmax())
    # Two tests, of which the better counts, are right by luck twice as often.
    p_value = min(1.0, p_value * (1 if tail is None else 2))
    return p_value, int(alone[worst]) if worst < len(alone) else None


def check_samples_follow(density: Density, samples: Tensor, tiny: TinyEvents | None = None) -> None:
    """Samples of a discrete density have the frequencies that `log_prob` says.

    At a significance of 1e-6.

    Raises:
        ConformanceError: with the event whose frequency differs most.
    """
    tiny = tiny or TinyEvents(density.spec)
    masses = event_masses(density, tiny)
    found = torch.bincount(event_numbers(samples, tiny), minlength=len(masses))
    require_likely(found, masses, lambda n: str(tiny.listed()[n].flatten().tolist()))


def check_real_samples_follow(model: Model, contexts: Tensor) -> None:
    """Samples of every site, given those before it, fall where its density says.

    Args:
        model: of real or mixed dims, one per site.
        contexts: `(N, *shape)`; what stands before a site is given.

    Raises:
        ConformanceError: with the site and the interval whose frequency differs most.
    """
    layout = model.layout
    for number, context in enumerate(layout.to_sites(contexts)):
        for site in range(layout.num_sites):
            known = torch.zeros(1, layout.num_sites, 1, dtype=torch.bool)
            known[:, :site] = True
            drawn = model.sample(
                _NUM_REAL_SAMPLES,
                generator=torch.Generator().manual_seed(number),
                given=layout.to_events(context[None])[0],
                known=layout.to_events(known)[0],
            )
            model.spec.validate(drawn)
            masses, domain = site_masses(model, context, site), layout.domain_of(site)
            if isinstance(domain, Real):
                masses = torch.cat((masses, 1 - masses.sum().reshape(1)))
            numbers = cell_numbers(layout.to_sites(drawn)[:, site, 0], domain)
            found = torch.bincount(numbers, minlength=len(masses))
            require_likely(
                found,
                masses,
                lambda n, s=site, d=domain: f"at site {s} {cell_name(n, d)}",  # type: ignore[misc]
            )


def require_likely(found: Tensor, masses: Tensor, name: Callable[[int], str]) -> None:
    """Raise if counts of samples `(N,)` do not fit the probabilities `(N,)` of their cells."""
    num_samples = int(found.sum())
    p_value, worst = chi_square(found, masses * num_samples)
    if p_value < _SIGNIFICANCE:
        if worst is None:
            what = "rare events are drawn more or less often than log_prob expects"
        else:
            what = (
                f"{int(found[worst])} of {num_samples} samples are {name(worst)}, where log_prob "
                f"expects {masses[worst].item() * num_samples:.1f}"
            )
        raise ConformanceError(
            f"{what}: samples do not follow log_prob (chi-square p = {p_value:.1g})"
        )


def require_normalised(model: Model, subject: Subject) -> None:
    """Raise unless a model of the subject's events, in whatever order, is normalised."""
    if subject.tiny.is_real:
        check_integrates_to_one(model, subject.random_events(2, seed=18))
    else:
        check_sums_to_one(model, subject.tiny)


def check_normalisation(subject: Subject) -> None:
    """The probabilities of all events sum to 1, freshly initialised and sharpened.

    Events of varying length count ended and unended ones together; densities integrate to 1.

    Raises:
        ConformanceError: with the sum.
    """
    require_normalised(subject.fresh(), subject)
    require_normalised(subject.sharpened(), subject)


def check_samples_follow_log_prob(subject: Subject) -> None:
    """A chi-square test of the default sampler's samples, on sharpened weights.

    `samplers_agree` says that the other samplers give the same ones.

    Raises:
        ConformanceError: with the cell whose frequency differs most.
    """
    model = subject.sharpened()
    if subject.tiny.is_real:
        check_real_samples_follow(model, subject.random_events(1, seed=19))
        return
    samples = model.sample(_NUM_SAMPLES, generator=torch.Generator().manual_seed(4))
    model.spec.validate(samples)
    check_samples_follow(model, samples, subject.tiny)
