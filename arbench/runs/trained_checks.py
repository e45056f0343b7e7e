"""Checks of the trained model at its own size (`checks`): causality, step, samples.

The conformance checks go through tiny events. A mask may leak, or a `step` err, in the hundredth
site only; so every run ends with the same promises, on a few of its own events and samples.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from arbench.errors import PluginError
from arbench.measure.allocator import is_out_of_memory
from arbench.probability.causality import (
    ROUNDING,
    STEP_ERROR,
    moved_up_to,
    other_values,
    rounding_allowed,
    step_differences,
)
from arbench.probability.model import Model
from arbench.probability.precision import evaluation_mode
from arbench.probability.randomness import derive_seed, keyed_generator, seeded
from arbench.probability.surprise import Surprise, event_surprise, site_surprise
from arbench.runs.building import Assembly, assemble
from arbench.runs.config import RunConfig
from arbench.runs.record.record import CheckRecord, ChecksRecord
from arbench.show.reporting import Reporter
from arbench.show.samples import NUM_SAMPLES
from arbench.show.wording import counted

if TYPE_CHECKING:
    from arbench.probability.density import Density
    from arbench.probability.ensemble import Ensemble

LONG_S, SHORT_S = 30.0, 1.5  # about so long at most, of a run and of a quick one
MOST_ERRORS = 5.0
_NUM_EVENTS = 4
_MOST_DIMS = 1 << 15  # of all events together
_NUM_SITES = 16
_FLOAT32_ERROR = 1e-3  # of a network that casts on the way, relative to the largest parameter
_FRESH = 4  # times as many samples confirm a failure
_AT_ONCE = 1 << 12  # dims of samples, so that time is looked at often
# Shares of the time, by when a check has to come to its end.
_CAUSALITY_SHARE, _STEP_SHARE, _SAMPLES_SHARE = 0.3, 0.8, 0.2


class Refused(PluginError):
    """A trained model breaks a promise at its own size; such a run never becomes a number.

    Attributes:
        checks: what was measured up to then, the failure included.
    """

    def __init__(self, message: str, checks: ChecksRecord) -> None:
        super().__init__(message)
        self.checks = checks


def check_network(
    assembly: Assembly, config: RunConfig, events: Tensor, reporter: Reporter
) -> ChecksRecord:
    """Causality, and `step` beside `forward`, of a copy of the trained network in float64.

    Args:
        assembly: trained; left as it is.
        config: what it was built from.
        events: `(N, *event_shape)` of the task, of which a few are used.
        reporter: receives progress.

    Raises:
        Refused: if a parameter moves before what changed, or `step` differs.
        PluginError: if the network does not compute in float64.
    """
    started, seconds = time.monotonic(), seconds_for(assembly, config)
    device = assembly.density.device
    device = torch.device("cpu") if device.type == "mps" else device
    most = _NUM_EVENTS if seconds == LONG_S else 1
    few = events[: max(1, min(most, _MOST_DIMS // events[0].numel()))]
    with (
        reporter.bar("checking") as advance,
        seeded(derive_seed(config.seed, "checks"), device),
        torch.no_grad(),
    ):
        exact = assemble(config)
        exact.network.load_state_dict(assembly.network.state_dict())
        # The density, not the network: views of an ensemble have buffers of their own.
        exact.density.to(device).double()
        checks = ChecksRecord()
        with evaluation_mode(exact.density):
            try:
                advance(0.1, "causality")
                until = started + _CAUSALITY_SHARE * seconds
                found = _causality(exact.members, few, config.seed, until)
                checks = _kept(checks, "causality", *found, config.model)
                if "step" in exact.density.samplers:
                    advance(0.4, "step")
                    until = started + _STEP_SHARE * seconds
                    found = _step_equals_forward(exact.members, few, until)
                    checks = _kept(checks, "step_equals_forward", *found, config.model)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                raise PluginError(
                    f"{config.model} does not compute in float64, in which every trained model is "
                    f"checked: {str(error).splitlines()[0]}"
                ) from error
        advance(1.0, "")
    return checks


def check_trained(
    assembly: Assembly, config: RunConfig, events: Tensor, reporter: Reporter
) -> ChecksRecord:
    """All checks of a trained density, as its run made them; its samples are drawn again.

    Args:
        assembly: trained.
        config: what it was built from.
        events: `(N, *event_shape)` of its task's validation split.
        reporter: receives progress.

    Raises:
        Refused: if one fails.
        PluginError: if the network does not compute in float64.
    """
    checks = check_network(assembly, config, events, reporter)
    generator = keyed_generator(config.seed, "samples")
    return check_samples(
        assembly.density,
        assembly.density.sample(NUM_SAMPLES, generator=generator),
        checks,
        name=config.model,
        seed=config.seed,
        seconds=seconds_for(assembly, config),
        scale=scale_of(events),
        reporter=reporter,
    )


def check_samples(
    density: Density,
    samples: Tensor,
    checks: ChecksRecord,
    *,
    name: str,
    seed: int,
    seconds: float,
    scale: float,
    reporter: Reporter,
) -> ChecksRecord:
    """Whether samples follow `log_prob`, site by site where the density is made of models.

    Args:
        density: as it was evaluated; of a foreign one only `log_prob` is known.
        samples: `(N, *event_shape)`, all that `sample` drew from the generator that is keyed by the
            seed and "samples".
        checks: those made already.
        name: what messages call the density.
        seed: of the run.
        seconds: about so long at most, with one batch at least.
        scale: of real dims, roughly; see `scale_of`.
        reporter: receives progress.

    Returns:
        The checks with this one, but for a bound, which need not fit its samples.

    Raises:
        Refused: if they do not, and neither do four times as many fresh ones.
    """
    if density.kind == "bound":
        return checks
    until = time.monotonic() + _SAMPLES_SHARE * seconds
    with (
        reporter.bar("checking samples") as advance,
        seeded(derive_seed(seed, "checks"), density.device),
        torch.no_grad(),
    ):
        drawn = _by_model(density, samples, keyed_generator(seed, "samples"))
        generator = keyed_generator(seed, "checks", "samples")
        first, num_used = _surprise(drawn, generator, scale, until)
        found = first
        if not abs(found.z) <= MOST_ERRORS:
            found, batch = Surprise(), num_used
            for number in range(_FRESH):
                advance(number / _FRESH, "fresh ones")
                key = (seed, "checks", "fresh", number)
                fresh = density.sample(batch, generator=keyed_generator(*key))
                drawn = _by_model(density, fresh, keyed_generator(*key))
                found += _surprise(drawn, generator, scale, math.inf)[0]
            num_used = _FRESH * batch
        advance(1.0, "")
    # Of a density whose sites nobody knows whole events are looked at.
    what = "site" if all(isinstance(each, Model) for each, _ in drawn) else "event"
    terms = "" if what == "event" else f", {found.num_terms:,} sites"
    check = CheckRecord(
        value=_finite(abs(found.z)), threshold=MOST_ERRORS, about=f"{num_used:,} samples{terms}"
    )
    fault = "" if abs(found.z) <= MOST_ERRORS else _surprising(first, found, what, num_used)
    return _kept(checks, "samples_follow", check, fault, name)


def _surprising(first: Surprise, found: Surprise, what: str, num_used: int) -> str:
    """That samples are not as likely as `log_prob` expects: at first, and of fresh ones."""
    mean = found.total_nats / max(1, found.num_terms)
    likely = f"{abs(mean):.2g} nats per {what} {'less' if mean < 0 else 'more'} likely"
    return (
        f"its samples do not follow its log_prob: they are {likely} than log_prob expects, "
        f"which is {abs(first.z):.1f} standard errors, and {abs(found.z):.1f} of {num_used:,} "
        "fresh ones"
    )


def seconds_for(assembly: Assembly, config: RunConfig) -> float:
    """How long the checks of a run take at most, about: not long where it was not meant to be."""
    is_quick = config.limit is not None or hasattr(assembly.network, "fit")
    return SHORT_S if is_quick else LONG_S


def scale_of(events: Tensor) -> float:
    """The standard deviation of real dims, for `check_samples`; 1 if it is not above 0."""
    deviation = events.double().std().item() if events.numel() > 1 else 0.0
    return deviation if deviation > 0 and math.isfinite(deviation) else 1.0


def _kept(
    checks: ChecksRecord, name: str, check: CheckRecord, fault: str, model: str
) -> ChecksRecord:
    """The checks with one more.

    Raises:
        Refused: if it failed.
    """
    checks = checks.model_copy(update={name: check})
    if fault:
        raise Refused(
            f"{model} gets no number, because the trained model fails the check {name}: {fault}",
            checks,
        )
    return checks


def _causality(
    members: Sequence[Model], events: Tensor, seed: int, until: float
) -> tuple[CheckRecord, str]:
    """Whether the parameters up to a site move when all values from it on change.

    Returns:
        What was measured, and the evidence against it, which is empty if the check passes.
    """
    generator = keyed_generator(seed, "checks", "causality")
    allowed = max(rounding_allowed(member.network) for member in members)
    if events.device.type != "cpu" or members[0].device.type != "cpu":
        # Products of an accelerator's library may be summed in another order the next time.
        allowed = ROUNDING
    num_sites = members[0].layout.num_sites
    before: dict[int, Tensor] = {}
    largest, num_done, fault = 0.0, 0, ""
    for number, site in enumerate(_sites_to_change(num_sites, generator)):
        if number and time.monotonic() > until:
            break
        which = number % len(members)
        member = members[which]
        sites = member.sites_of(events)
        if which not in before:
            before[which] = member.site_params(sites)
        changed = sites.clone()
        changed[:, site:] = other_values(sites[:, site:], member.layout.domain, generator)
        moved = moved_up_to(site, before[which], member.site_params(changed))
        share = moved / _largest(before[which])
        num_done += 1
        worst = int(share.nan_to_num(math.inf).argmax())
        value = _finite(share[worst].item())
        largest = max(largest, value)
        # As much wider than what is allowed of float64 as the parameters' own type is coarser.
        coarser = torch.finfo(share.dtype).eps / torch.finfo(torch.float64).eps
        if not value <= allowed * coarser:
            fault = (
                f"the parameters of site {worst} moved by {moved[worst].item():.2g} when the "
                f"values of site {site} and later ones changed, so the mask leaks from the future"
            )
            break
    about = f"{num_done} of {num_sites:,} sites, {counted(len(events), 'event')}"
    return CheckRecord(value=largest, threshold=allowed, about=about), fault


def _step_equals_forward(
    members: Sequence[Model], events: Tensor, until: float
) -> tuple[CheckRecord, str]:
    """Whether `step` gives the parameters of `forward` along whole events; see `_causality`."""
    largest, num_done, fault = 0.0, 0, ""
    threshold = STEP_ERROR
    num_sites = members[0].layout.num_sites
    for member in members:
        sites = member.sites_of(events)
        expected = member.site_params(sites)
        threshold = STEP_ERROR if expected.dtype == torch.float64 else _FLOAT32_ERROR
        scale = max(1.0, _largest(expected))
        for t, difference in enumerate(step_differences(member.network, sites, expected)):
            num_done += 1
            largest = max(largest, _finite(difference / scale))
            if not difference <= threshold * scale:
                fault = f"step differs from forward by {difference:.2g} at site {t}"
                break
            if time.monotonic() > until:
                break
        if fault or time.monotonic() > until:
            break
    total = num_sites * len(members)
    about = f"{num_done:,} of {total:,} sites, {counted(len(events), 'event')}"
    return CheckRecord(value=largest, threshold=threshold, about=about), fault


def _sites_to_change(num_sites: int, generator: torch.Generator) -> list[int]:
    """One site of each of 16 equal parts of the order, in a random order, and both ends.

    A mask that is wrong at one site only is most often so at an end; one look is at any site.
    """
    num_parts = min(_NUM_SITES, num_sites)
    places = torch.arange(num_parts) + torch.rand(num_parts, generator=generator).double()
    sites = (places * num_sites / num_parts).long().clamp(max=num_sites - 1)
    first, *others = sites[torch.randperm(num_parts, generator=generator)].tolist()
    return list(dict.fromkeys([first, num_sites - 1, 0, *others]))


def _by_model(
    density: Density, samples: Tensor, generator: torch.Generator
) -> list[tuple[Density, Tensor]]:
    """Samples beside the density that drew them: of an ensemble, the member.

    Args:
        density: whose samples they are.
        samples: `(N, *event_shape)`.
        generator: as it was before they were drawn.
    """
    if not hasattr(density, "members_drawn"):
        return [(density, samples)]
    ensemble = cast("Ensemble", density)
    chosen = ensemble.members_drawn(ensemble.draw_noise(len(samples), generator))
    chosen = chosen.to(samples.device)
    parts: list[tuple[Density, Tensor]] = []
    for number, member in enumerate(ensemble.members):
        assert isinstance(member, Model)
        if len(own := samples[chosen == number]):
            parts.append((member, own))
    return parts


def _surprise(
    drawn: list[tuple[Density, Tensor]], generator: torch.Generator, scale: float, until: float
) -> tuple[Surprise, int]:
    """How surprising samples are, and how many of them were looked at in time."""
    found, num_used = Surprise(), 0
    for density, samples in drawn:
        for events in torch.split(samples, max(1, _AT_ONCE // samples[0].numel())):
            if num_used and time.monotonic() > until:
                return found, num_used
            if isinstance(density, Model):
                with evaluation_mode(density):
                    found += site_surprise(density, events, generator, scale=scale)
            else:
                found += event_surprise(density, events, generator, scale=scale)
            num_used += len(events)
    return found, num_used


def _largest(params: Tensor) -> float:
    """The largest absolute value of parameters, of those that are finite; 1 if there is none."""
    largest = params.abs().nan_to_num(posinf=0.0).max().item()
    return largest if largest > 0 else 1.0


def _finite(value: float) -> float:
    """The value, or the largest there is: a record holds finite numbers."""
    return value if math.isfinite(value) else torch.finfo(torch.float64).max
