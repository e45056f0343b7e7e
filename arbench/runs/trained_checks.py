"""Checks of the trained model at its own size (`checks`): causality, step, samples, inverse.

The conformance checks go through tiny events. A mask may leak, or a `step` err, in the hundredth
site only; so every run ends with the same promises, on a few of its own events and samples.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from arbench.errors import PluginError
from arbench.measure.allocator import is_out_of_memory, kept_for_reuse
from arbench.probability.flows.flow import Flow
from arbench.probability.flows.inversion import flow_findings
from arbench.probability.model import Model
from arbench.probability.precision import evaluation_mode
from arbench.probability.promises import (
    MOST_ERRORS,
    ROUNDING,
    STEP_ERROR,
    Surprise,
    event_surprise,
    other_values,
    site_surprise,
    step_differences,
)
from arbench.probability.randomness import derive_seed, keyed_generator, seeded
from arbench.runs.config import Assembly, RunConfig, assemble
from arbench.runs.record.record import CheckRecord, ChecksRecord
from arbench.show.reporting import Reporter
from arbench.show.samples import NUM_SAMPLES, save_samples
from arbench.show.wording import counted

if TYPE_CHECKING:
    from arbench.probability.density import Density

LONG_S, SHORT_S = 30.0, 1.5  # about so long at most, of a run and of a quick one
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


def check_trained(
    assembly: Assembly,
    config: RunConfig,
    events: Tensor,
    reporter: Reporter,
    folder: Path | None = None,
) -> ChecksRecord:
    """All checks of a trained density: first of its network, then of its samples.

    Args:
        assembly: trained; left as it is.
        config: what it was built from.
        events: `(N, *event_shape)` of its task's validation split.
        reporter: receives progress.
        folder: where to leave the samples, which are drawn once the network has passed; by default
            nowhere. They are the same each time.

    Raises:
        Refused: if one fails.
        PluginError: if the network does not compute in float64.
    """
    fits_itself = hasattr(assembly.members[0].network, "fit")
    is_quick = config.limit is not None or fits_itself
    seconds = SHORT_S if is_quick else LONG_S
    few = events[: max(1, min(1 if is_quick else _NUM_EVENTS, _MOST_DIMS // events[0].numel()))]
    with kept_for_reuse():  # and given back at the end, as in each of what follows
        checks = _check_network(assembly, config, few, seconds, reporter)
    density = assembly.density
    with kept_for_reuse(), reporter.bar("sampling") as advance:
        samples = density.sample(
            NUM_SAMPLES,
            generator=keyed_generator(config.seed, "samples"),
            progress=lambda done, total: advance(done / total, ""),
        )
        if folder is not None:
            save_samples(folder, samples.cpu(), density.spec, rendering=config.rendering)
    with kept_for_reuse():
        return check_samples(
            density,
            samples,
            checks,
            name=config.model,
            seed=config.seed,
            seconds=seconds,
            events=events,
            reporter=reporter,
        )


def _check_network(
    assembly: Assembly, config: RunConfig, events: Tensor, seconds: float, reporter: Reporter
) -> ChecksRecord:
    """Causality, and `step` beside `forward`, of a copy of the trained network in float64."""
    started = time.monotonic()
    device = assembly.density.device
    device = torch.device("cpu") if device.type == "mps" else device
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
                if isinstance(exact.density, Flow):
                    advance(0.1, "inverse")
                    generator = keyed_generator(config.seed, "checks", "latents")
                    for name, found in flow_findings(exact.density, events, generator):
                        checks = _kept(checks, config.model, name, *found)
                    return checks
                members = [member for member in exact.members if isinstance(member, Model)]
                advance(0.1, "causality")
                until = started + _CAUSALITY_SHARE * seconds
                found = _causality(members, events, config.seed, until)
                checks = _kept(checks, config.model, "causality", *found)
                if "step" in exact.density.samplers:
                    advance(0.4, "step")
                    until = started + _STEP_SHARE * seconds
                    found = _step_equals_forward(members, events, until)
                    checks = _kept(checks, config.model, "step_equals_forward", *found)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                raise PluginError(
                    f"{config.model} does not compute in float64, in which every trained model is "
                    f"checked: {str(error).splitlines()[0]}"
                ) from error
        advance(1.0, "")
    return checks


def check_samples(
    density: Density,
    samples: Tensor,
    checks: ChecksRecord,
    *,
    name: str,
    seed: int,
    seconds: float,
    events: Tensor,
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
        events: `(N, *event_shape)` of the task, for the scale of real dims.
        reporter: receives progress.

    Returns:
        The checks with this one, but for a bound, which need not fit its samples.

    Raises:
        Refused: if they do not, and neither do four times as many fresh ones.
    """
    if density.kind == "bound":
        return checks
    until = time.monotonic() + _SAMPLES_SHARE * seconds
    deviation = events.double().std().item() if events.numel() > 1 else 0.0
    scale = deviation if deviation > 0 and math.isfinite(deviation) else 1.0
    with (
        reporter.bar("checking samples") as advance,
        seeded(derive_seed(seed, "checks"), density.device),
        torch.no_grad(),
    ):
        source = keyed_generator(seed, "samples")
        generator = keyed_generator(seed, "checks", "samples")
        first, num_used = _surprise(density, samples, source, generator, scale, until)
        found = first
        if not abs(found.z) <= MOST_ERRORS:
            found, batch = Surprise(), num_used
            for number in range(_FRESH):
                advance(number / _FRESH, "fresh ones")
                key = (seed, "checks", "fresh", number)
                fresh = density.sample(batch, generator=keyed_generator(*key))
                source = keyed_generator(*key)
                found += _surprise(density, fresh, source, generator, scale, math.inf)[0]
            num_used = _FRESH * batch
        advance(1.0, "")
    # Of a density whose sites nobody knows whole events are looked at.
    what = "site" if isinstance(density, Model) or hasattr(density, "by_member") else "event"
    about = f"{num_used:,} samples" + (f", {found.num_terms:,} sites" if what == "site" else "")
    z = abs(found.z)
    fault = "" if z <= MOST_ERRORS else _surprising(first, found, what, num_used)
    return _kept(checks, name, "samples_follow", z, MOST_ERRORS, about, fault)


def _surprising(first: Surprise, found: Surprise, what: str, num_used: int) -> str:
    """That samples are not as likely as `log_prob` expects: at first, and of fresh ones."""
    mean = found.total_nats / max(1, found.num_terms)
    likely = f"{abs(mean):.2g} nats per {what} {'less' if mean < 0 else 'more'} likely"
    return (
        f"its samples do not follow its log_prob: they are {likely} than log_prob expects, "
        f"which is {abs(first.z):.1f} standard errors, and {abs(found.z):.1f} of {num_used:,} "
        "fresh ones"
    )


def _kept(
    checks: ChecksRecord,
    model: str,
    name: str,
    value: float,
    threshold: float,
    about: str,
    fault: str,
) -> ChecksRecord:
    """The checks with one more: what it measured, may be at most, looked at, and found wrong.

    Raises:
        Refused: if it found something.
    """
    if not math.isfinite(value):  # a record holds finite numbers
        value = torch.finfo(torch.float64).max
    check = CheckRecord(value=value, threshold=threshold, about=about)
    checks = checks.model_copy(update={name: check})
    if fault:
        raise Refused(
            f"{model} gets no number, because the trained model fails the check {name}: {fault}",
            checks,
        )
    return checks


def _causality(
    members: Sequence[Model], events: Tensor, seed: int, until: float
) -> tuple[float, float, str, str]:
    """Whether the parameters up to a site move when all values from it on change.

    Returns:
        The largest movement relative to the largest parameter, what it may be, what was looked at,
        and the evidence against the network, which is empty if the check passes.
    """
    generator = keyed_generator(seed, "checks", "causality")
    # Sums in another order round otherwise: those of a network that says so, and those of an
    # accelerator's library, which may take another order the next time.
    parts = [part for member in members for part in member.network.modules()]
    reorders = any(getattr(part, "reordered_sums", False) for part in parts)
    is_on_cpu = events.device.type == members[0].device.type == "cpu"
    allowed = 0.0 if is_on_cpu and not reorders else ROUNDING
    num_sites = members[0].layout.num_sites
    # One site of each of 16 equal parts of the order, in a random order, and both ends: a mask that
    # is wrong at one site only is most often so at an end; one look is at any site.
    num_parts = min(_NUM_SITES, num_sites)
    places = torch.arange(num_parts) + torch.rand(num_parts, generator=generator).double()
    places = (places * num_sites / num_parts).long().clamp(max=num_sites - 1)
    first, *others = places[torch.randperm(num_parts, generator=generator)].tolist()
    before: dict[int, Tensor] = {}
    largest, num_done, fault = 0.0, 0, ""
    for number, site in enumerate(dict.fromkeys([first, num_sites - 1, 0, *others])):
        if fault or (number and time.monotonic() > until):
            break
        which = number % len(members)
        member = members[which]
        sites = member.sites_of(events)
        if which not in before:
            before[which] = member.site_params(sites)
        changed = sites.clone()
        changed[:, site:] = other_values(sites, member.layout.domain, generator)[:, site:]
        after = member.site_params(changed)
        moved = (after - before[which])[:, : site + 1].abs().amax((0, 2))
        share = moved / (before[which].abs().nan_to_num(posinf=0.0).max().item() or 1.0)
        num_done += 1
        worst = int(share.nan_to_num(math.inf).argmax())
        value = share[worst].item()
        # As much wider than what is allowed of float64 as the parameters' own type is coarser.
        coarser = torch.finfo(share.dtype).eps / torch.finfo(torch.float64).eps
        if not value <= allowed * coarser:
            fault = (
                f"the parameters of site {worst} moved by {moved[worst].item():.2g} when the "
                f"values of site {site} and later ones changed, so the mask leaks from the future"
            )
        largest = value if fault else max(largest, value)
    about = f"{num_done} of {num_sites:,} sites, {counted(len(events), 'event')}"
    return largest, allowed, about, fault


def _step_equals_forward(
    members: Sequence[Model], events: Tensor, until: float
) -> tuple[float, float, str, str]:
    """Whether `step` gives the parameters of `forward` along whole events; see `_causality`."""
    largest, num_done, fault = 0.0, 0, ""
    threshold = STEP_ERROR
    num_sites = members[0].layout.num_sites
    for member in members:
        sites = member.sites_of(events)
        expected = member.site_params(sites)
        threshold = STEP_ERROR if expected.dtype == torch.float64 else _FLOAT32_ERROR
        scale = max(1.0, expected.abs().nan_to_num(posinf=0.0).max().item())
        for t, difference in enumerate(step_differences(member.network, sites, expected)):
            num_done += 1
            if not difference <= threshold * scale:
                fault = f"step differs from forward by {difference:.2g} at site {t}"
            largest = difference / scale if fault else max(largest, difference / scale)
            if fault or time.monotonic() > until:
                break
        if fault or time.monotonic() > until:
            break
    total = num_sites * len(members)
    about = f"{num_done:,} of {total:,} sites, {counted(len(events), 'event')}"
    return largest, threshold, about, fault


def _surprise(
    density: Density,
    samples: Tensor,
    source: torch.Generator,
    generator: torch.Generator,
    scale: float,
    until: float,
) -> tuple[Surprise, int]:
    """How surprising samples are, and how many of them were looked at in time.

    Args:
        density: whose samples they are.
        samples: `(N, *event_shape)`.
        source: the generator that they were drawn from, as it was before.
        generator: of what is looked at.
        scale: of real dims, roughly.
        until: when to look at no more.
    """
    found, num_used = Surprise(), 0
    drawn: list[tuple[Density, Tensor]] = [(density, samples)]
    if hasattr(density, "by_member"):
        drawn = density.by_member(samples, source)
    for each, own in drawn:
        for events in torch.split(own, max(1, _AT_ONCE // own[0].numel())):
            if num_used and time.monotonic() > until:
                return found, num_used
            if isinstance(each, Model):
                with evaluation_mode(each):
                    found += site_surprise(each, events, generator, scale=scale)
            else:
                found += event_surprise(each, events, generator, scale=scale)
            num_used += len(events)
    return found, num_used
