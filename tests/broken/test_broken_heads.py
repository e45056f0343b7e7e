"""Wrong heads as found in the wild, each caught by the check that is meant for it."""

# The contract of each method is that of the class it breaks.

from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import Tensor, nn

from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import (
    Bernoulli,
    Categorical,
    Gaussian,
    GaussianMixture,
    Head,
    LogisticMixture,
)
from arbench.probability.heads.components import choose, floored, floored_scale
from arbench.probability.layouts import Layout
from arbench.testing.conformance import Result, run_check, subjects
from arbench.testing.heads import HEAD_CHECKS, head_subjects
from arbench.testing.subject import ConformanceError
from arbench.testing.tiny import TINY_EVENTS
from arbench.testing.toys import LinearNetwork, TableNetwork


class FlippedBernoulli(Bernoulli):
    """Samples 1 where the uniform is below p(x = 0)."""

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        return 1 - super().draw(params, prepared)


class SquaredBernoulli(Bernoulli):
    """Forgets the log of the other outcome: the two probabilities do not sum to 1."""

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        return nn.functional.logsigmoid(params[..., 0]) * value[..., 0]


class WrongEdgeBin(LogisticMixture):
    """The first and the last level own no more than their own width."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        levels = Discrete(layout.alphabet_size + 2)  # one more level on either side owns the rest
        self.wider = LogisticMixture(
            Layout(EventSpec(layout.spec.shape, levels), sites=layout.sites)
        )

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        return self.wider.log_prob(params, value + 1)


class UnroundedChannels(LogisticMixture):
    """Green is sampled given red before rounding, as in the authors' code; log_prob rounds."""

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        grouped = self._by_component(params)
        chosen = choose(grouped[..., 0], prepared[..., :1])
        own = grouped.take_along_dim(chosen[..., None], -2).squeeze(-2)
        _, means, log_scales, couplings = torch.split(own, self._sizes, -1)
        scales = floored_scale(log_scales + self._log_scale, self.min_log_scale)
        sampled = self._placed(means, chosen) + scales * prepared[..., 1:]
        drawn: list[Tensor] = []
        for dim, position in enumerate(sampled.unbind(-1)):
            for earlier, value in enumerate(drawn):
                coupling = couplings[..., dim * (dim - 1) // 2 + earlier].tanh()
                position = position + coupling * value
            drawn.append(position.clamp(-1, 1))
        return self._bin(torch.stack(drawn, -1)).long()


class MeanOfComponents(GaussianMixture):
    """Samples around the mean of the mixture instead of around that of one component."""

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        means, log_scales, logits = params.split(self.num_components, -1)
        weights = logits.softmax(-1)
        centre = (weights * means).sum(-1, keepdim=True)
        scale = (weights * floored_scale(log_scales, self.min_log_scale)).sum(-1, keepdim=True)
        return centre + scale * prepared[..., 1:]


class SquaredScale(Gaussian):
    """Divides by the variance where the standard deviation belongs."""

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        log_scale = floored(params[..., 1], self.min_log_scale)
        standard = (value[..., 0] - params[..., 0]) * (-2 * log_scale).exp()
        return -0.5 * standard.square() - log_scale - 0.5 * math.log(2 * math.pi)


class OneUniformForBoth(GaussianMixture):
    """Chooses the component and the value by the same uniform."""

    def prepare(self, noise: Tensor) -> Tensor:
        return super().prepare(noise[..., :1].repeat_interleave(2, -1))


class NaiveLogistic(LogisticMixture):
    """The log of a difference of sigmoids: both are 1 far out."""

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        half = 1 / (self.num_levels - 1)
        logits, means, log_scales, _ = torch.split(self._by_component(params), self._sizes, -1)
        level = 2 * half * value.to(params.dtype) - 1
        mean = self._placed(means[..., 0], torch.arange(self.num_components))
        scale = floored_scale(log_scales[..., 0] + self._log_scale, self.min_log_scale)
        upper = (
            ((level + half - mean) / scale).sigmoid().masked_fill(value == self.num_levels - 1, 1)
        )
        lower = ((level - half - mean) / scale).sigmoid().masked_fill(value == 0, 0)
        return ((upper - lower).log() + logits[..., 0].log_softmax(-1)).logsumexp(-1)


class CutOffInLogProbAlone(Categorical):
    """Values of less than 0.1 % are forbidden in log_prob, and drawn all the same."""

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        log_probs = params.log_softmax(-1)
        return super().log_prob(log_probs.masked_fill(log_probs < math.log(1e-3), -math.inf), value)


class FloorInSamplesAlone(Categorical):
    """No value is drawn with less than 0.1 %, whatever log_prob says."""

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        return super().draw(params.log_softmax(-1).clamp_min(math.log(1e-3)), prepared)


class NextIsTheSameForAll(LogisticMixture):
    """The first channels are left out of what comes after them."""

    def next_log_probs(self, params: Tensor, before: Tensor) -> Tensor:
        first = super().next_log_probs(params, before[..., :0])
        return first.expand(*before.shape[:-1], -1)


class NextIsJoint(LogisticMixture):
    """The probability of the first channels together, not of the next given those."""

    def next_log_probs(self, params: Tensor, before: Tensor) -> Tensor:
        found = super().next_log_probs(params, before)
        if before.shape[-1]:
            found = found + self.log_prob(params, before).unsqueeze(-1)
        return found


# The head, the check, and what it must say.
HEAD_CASES: list[tuple[type[Head], str, str]] = [
    (FlippedBernoulli, "samples", "log_prob expects"),
    (SquaredBernoulli, "normalised", "sum to"),
    (WrongEdgeBin, "normalised", "sum to"),
    (NaiveLogistic, "gradients", "is not finite"),
    (UnroundedChannels, "samples", "log_prob expects"),
    (MeanOfComponents, "samples", "log_prob expects"),
    (OneUniformForBoth, "samples", "log_prob expects"),
    (SquaredScale, "normalised", "sum to"),
    (CutOffInLogProbAlone, "samples", "where log_prob expects 0.0"),
    (FloorInSamplesAlone, "samples", "rare events are drawn"),
    (CutOffInLogProbAlone, "value_log_probs", "value_log_probs says .* and log_prob"),
    (NextIsTheSameForAll, "next_log_probs", r"next_log_probs says .* after \[0\], and log_prob"),
    (NextIsJoint, "next_log_probs", r"next_log_probs says .* after \[0\], and log_prob"),
]


@pytest.mark.parametrize(
    ("head", "check", "evidence"), HEAD_CASES, ids=[f"{h.__name__}-{c}" for h, c, _ in HEAD_CASES]
)
def test_broken_head_is_caught_by_name(head: type[Head], check: str, evidence: str) -> None:
    def run() -> None:
        for subject in head_subjects(head).values():
            HEAD_CHECKS[check](subject)

    with pytest.raises(ConformanceError, match=evidence):
        run()


@pytest.mark.parametrize(
    ("head", "check"), {(head.__bases__[0], check): None for head, check, _ in HEAD_CASES}
)
def test_repaired_head_passes_the_same_check(head: type[Head], check: str) -> None:
    for subject in head_subjects(head).values():
        HEAD_CHECKS[check](subject)


# A network that is right, the head, the tiny events, the check, and what it must say.
MODEL_CASES: list[tuple[type[nn.Module], type[Head], str, str, str]] = [
    (LinearNetwork, MeanOfComponents, "real-5", "samples_follow_log_prob", "log_prob expects"),
    (LinearNetwork, SquaredScale, "real-5", "normalisation", "site 0, given those before it"),
    (TableNetwork, FlippedBernoulli, "binary-2x3", "samples_follow_log_prob", "log_prob expects"),
    (TableNetwork, SquaredBernoulli, "binary-2x3", "normalisation", "sum to"),
    (TableNetwork, WrongEdgeBin, "pixels-1x2", "normalisation", "sum to"),
]


@pytest.mark.parametrize(
    ("network", "head", "events", "check", "evidence"),
    MODEL_CASES,
    ids=[f"{head.__name__}-{check}" for _, head, _, check, _ in MODEL_CASES],
)
def test_broken_head_is_caught_in_a_model(
    network: type[nn.Module], head: type[Head], events: str, check: str, evidence: str
) -> None:
    specs = {events: TINY_EVENTS[events]}
    name, subject = next(iter(subjects(network, specs=specs, head=head).items()))
    result = run_check(check, name, subject)
    assert result.status == "failed"
    assert evidence in result.message


@pytest.mark.parametrize(
    ("network", "head", "events", "check"),
    [(network, head.__bases__[0], *rest) for network, head, *rest, _ in MODEL_CASES],
)
def test_repaired_head_passes_in_a_model(
    network: type[nn.Module], head: type[Head], events: str, check: str
) -> None:
    specs = {events: TINY_EVENTS[events]}
    # A narrow component cannot be integrated over.
    options = {"min_log_scale": -3.0} if events.startswith("real") else {}
    make = functools.partial(head, **options)
    name, subject = next(iter(subjects(network, specs=specs, head=make).items()))
    assert run_check(check, name, subject) == Result(check, name, "passed")
