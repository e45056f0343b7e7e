"""Normalisation and samples: checks that need nothing of a density but its two methods."""

from __future__ import annotations

import torch
from scipy import stats
from torch import Tensor

from arbench.probability.density import Density
from arbench.testing.subject import ConformanceError, Subject
from arbench.testing.toys import all_events

_NUM_SAMPLES = 5000
_SIGNIFICANCE = 1e-6
_MIN_EXPECTED = 5.0


def check_sums_to_one(density: Density) -> None:
    """The probabilities of all events sum to 1 within 1e-9.

    Raises:
        ConformanceError: with the sum.
    """
    events = all_events(density.spec)
    with torch.no_grad():
        log_probs = density.log_prob(events)
    if log_probs.shape != (len(events),) or log_probs.dtype != torch.float64:
        raise ConformanceError(
            f"log_prob of {len(events)} events has shape {tuple(log_probs.shape)} and "
            f"{log_probs.dtype}, expected ({len(events)},) and torch.float64"
        )
    total = log_probs.exp().sum().item()
    if not abs(total - 1) <= 1e-9:
        raise ConformanceError(
            f"the probabilities of all {len(events)} events sum to {total:.10g}, not to 1"
        )


def chi_square(samples: Tensor, density: Density) -> tuple[float, str]:
    """How likely samples as uneven as these are, if they follow `log_prob`.

    Pearson's test over all events; those with fewer than 5 expected samples are pooled. A pool
    that itself expects fewer joins the rarest event that stands alone.

    Args:
        samples: `(N, *shape)`.
        density: with few events.

    Returns:
        The p-value, and the cell that differs most, in words.
    """
    spec = density.spec
    events = all_events(spec).flatten(1)
    size = int(events.max()) + 1
    powers = size ** torch.arange(spec.num_dims - 1, -1, -1)
    codes = (samples.flatten(1).cpu() * powers).sum(1)
    found = torch.bincount(codes, minlength=len(events)).double()
    with torch.no_grad():
        expected = density.log_prob(all_events(spec)).exp().cpu() * len(samples)
    order = expected.argsort(descending=True)
    alone = int((expected >= _MIN_EXPECTED).sum())
    if alone < len(order) and expected[order[alone:]].sum() < _MIN_EXPECTED:
        alone = max(alone - 1, 0)
    kept, pooled = order[:alone], order[alone:]
    cells_found = torch.cat((found[kept], found[pooled].sum().reshape(1)))
    cells_expected = torch.cat((expected[kept], expected[pooled].sum().reshape(1)))
    terms = (cells_found - cells_expected) ** 2 / cells_expected.clamp_min(1e-12)
    p_value = float(stats.chi2.sf(terms.sum().item(), max(len(terms) - 1, 1)))
    worst = int(terms.argmax())
    name = str(events[kept[worst]].tolist()) if worst < alone else "a rare event"
    share = (
        f"{int(cells_found[worst])} of {len(samples)} samples are {name}, where log_prob "
        f"expects {cells_expected[worst].item():.1f}"
    )
    return p_value, share


def check_samples_follow(density: Density, samples: Tensor) -> None:
    """Samples have the frequencies that `log_prob` says, at a significance of 1e-6.

    Raises:
        ConformanceError: with the event whose frequency differs most.
    """
    p_value, share = chi_square(samples, density)
    if p_value < _SIGNIFICANCE:
        raise ConformanceError(
            f"{share}: samples do not follow log_prob (chi-square p = {p_value:.1g})"
        )


def check_normalisation(subject: Subject) -> None:
    """The probabilities of all events sum to 1, freshly initialised and sharpened.

    Raises:
        ConformanceError: with the sum.
    """
    check_sums_to_one(subject.fresh())
    check_sums_to_one(subject.sharpened())


def check_samples_follow_log_prob(subject: Subject) -> None:
    """A chi-square test of the default sampler's samples, on sharpened weights.

    `samplers_agree` says that the other samplers give the same ones.

    Raises:
        ConformanceError: with the event whose frequency differs most.
    """
    model = subject.sharpened()
    samples = model.sample(_NUM_SAMPLES, generator=torch.Generator().manual_seed(4))
    model.spec.validate(samples)
    check_samples_follow(model, samples)
