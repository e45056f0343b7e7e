"""An ensemble: log-mean-exp over several orderings or masks."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor, nn

from arbench.probability.bits import Kind
from arbench.probability.density import Excerpt
from arbench.probability.events import EventSpec
from arbench.probability.heads.components import log_mean_exp
from arbench.probability.model import Model, known_values
from arbench.probability.native.step import Kernel
from arbench.probability.precision import evaluation_mode
from arbench.probability.samplers import OnSite


@final
class Ensemble(nn.Module):
    """`p(x) = 1/M sum_m p_m(x)`: joint probabilities are averaged, in log space.

    Averaging logits or conditionals of members with different orderings is not a distribution;
    averaging joint probabilities is (Uria, Murray and Larochelle, ICML 2014, section 4.2).

    Args:
        members: models of the same events, at least one; they may share weights, and differ in
            ordering or mask seed.
    """

    def __init__(self, members: Sequence[Model]) -> None:
        super().__init__()
        if not members:
            raise ValueError("an ensemble has at least one member")
        first = members[0]
        if any(m.spec != first.spec or m.kind != first.kind for m in members):
            raise ValueError("the members of an ensemble describe the same events")
        self.members = nn.ModuleList(members)

    @property
    def _models(self) -> list[Model]:
        return [m for m in self.members if isinstance(m, Model)]

    @property
    def spec(self) -> EventSpec:
        """Shape and domain of the events."""
        return self._models[0].spec

    @property
    def kind(self) -> Kind:
        """The members' kind."""
        return self._models[0].kind

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._models[0].device

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the weights."""
        return self._models[0].dtype

    @property
    def samplers(self) -> tuple[str, ...]:
        """Names of the samplers that the members have, the default first."""
        return self._models[0].samplers

    def forward(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """The same as `log_prob`."""
        return self.log_prob(events, scored)

    def log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """`logsumexp_m log p_m(x) - log M`, `(B,)` float64; see `Density.log_prob`."""
        joint = torch.stack([m.log_prob(events, scored) for m in self._models])
        return log_mean_exp(joint)

    def dim_log_probs(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """Every dim's part of `log_prob`, `(B, *event_shape)` float64; see `Model.dim_log_probs`.

        Members draw in different orders, so the mixture has no conditional probability of a dim.
        With `r_m`, the probability that member m made the event, it is however true that
        `log p(x) = sum_m r_m log p_m(x) - KL(r || 1/M)`: a dim has the mean of its parts in the
        members, weighted by r, and of the rest, log M nats at most, all scored dims have equal
        shares.
        """
        parts = torch.stack([m.dim_log_probs(events, scored) for m in self._models])
        joint = parts.flatten(2).sum(-1)
        posterior = joint.softmax(0)
        divergence = math.log(len(parts)) - torch.special.entr(posterior).sum(0)
        mean: Tensor = torch.einsum("mb...,mb->b...", parts, posterior)
        counted = torch.ones_like(mean) if scored is None else scored.to(mean)
        share = divergence / counted.flatten(1).sum(1).clamp(min=1)
        return mean - torch.einsum("b...,b->b...", counted, share)

    @property
    def conditionals(self) -> Callable[..., Tensor]:
        """How likely every value of every dim is, if all members have one order.

        See `Conditionals.conditionals`.

        Raises:
            AttributeError: if their orders differ: a dim then has no distribution given those
                before it, whose sum over what another order puts first nobody can make.
        """
        from arbench.probability.heads.conditionals import conditionals_of, offers_conditionals

        if not offers_conditionals(self._models):
            raise AttributeError("this ensemble has no conditionals")
        return functools.partial(conditionals_of, self._models)

    @torch.no_grad()
    def sample(
        self,
        num_events: int,
        *,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
        method: str = "auto",
        given: Tensor | None = None,
        known: Tensor | None = None,
        progress: OnSite | None = None,
    ) -> Tensor:
        """Samples: each event draws its member, then its sites from that member.

        With `given`, members are drawn in proportion to `p_m(given)`, which makes the completion a
        sample of the mixture's true conditional; see also `completing`. Arguments as for
        `Model.sample`, but that `noise` is `(B, 1 + T, U)`: the first uniform of an event chooses
        its member.
        """
        if noise is None:
            noise = self.draw_noise(num_events, generator)
        mixture = self if known is None else self.completing(known)
        chosen = mixture.members_drawn(noise, given, known)
        samples: Tensor | None = None
        done = 0
        for index, member in enumerate(mixture._models):
            rows = (chosen == index).nonzero().squeeze(-1)
            if len(rows) == 0:
                continue
            own = given
            if given is not None and given.dim() > len(self.spec.shape):
                own = given[rows]
            drawn = member.sample(
                len(rows), noise=noise[rows, 1:], method=method, given=own, known=known
            )
            if samples is None:
                samples = drawn.new_empty((num_events, *self.spec.shape))
            samples[rows.to(samples.device)] = drawn
            done += len(rows)
            if progress is not None:
                progress(done, num_events)
        if samples is None:
            raise ValueError("num_events must be at least 1")
        return samples

    def kernel(self, method: str, batch_size: int) -> Kernel:
        """The members' kernel, "python" where they differ; see `Model.kernel`."""
        kernels = {member.kernel(method, batch_size) for member in self._models}
        return kernels.pop() if len(kernels) == 1 else "python"

    def completing(self, known: Tensor) -> Ensemble:
        """The mixture whose conditional given some dims can be drawn from: see `Model.completing`.

        Args:
            known: `event_shape` boolean, True where a value is given.
        """
        return Ensemble([member.completing(known) for member in self._models])

    def members_drawn(
        self, noise: Tensor, given: Tensor | None = None, known: Tensor | None = None
    ) -> Tensor:
        """Which member makes each sample of that noise, `(B,)` int64; see `sample`."""
        edges = self._member_probs(len(noise), given, known).cumsum(-1)[:, :-1]
        return (noise[:, 0, :1] >= edges).sum(-1)

    def by_member(self, samples: Tensor, source: torch.Generator) -> list[tuple[Model, Tensor]]:
        """The members that drew samples, each beside its own.

        Args:
            samples: `(B, *event_shape)`.
            source: the generator that they were drawn from, as it was before.
        """
        chosen = self.members_drawn(self.draw_noise(len(samples), source)).to(samples.device)
        parts = ((member, samples[chosen == m]) for m, member in enumerate(self._models))
        return [(member, own) for member, own in parts if len(own)]

    def draw_noise(self, num_events: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise for that many samples, `(B, 1 + T, U)` float64 on the CPU."""
        first = self._models[0]
        num_sites, num_uniforms = first.layout.num_sites, first.head.num_uniforms
        shape = (num_events, 1 + num_sites, num_uniforms)
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    def excerpt(self, method: str, batch_size: int) -> Excerpt | None:
        """A few whole forwards of every member; they share the batch. See `Density.excerpt`."""
        many = len(self._models)
        shares = [len(range(index, batch_size, many)) for index in range(many)]
        excerpts = [
            excerpt
            for member, share in zip(self._models, shares, strict=True)
            if share and (excerpt := member.excerpt(method, share)) is not None
        ]
        if not excerpts:
            return None
        return Excerpt(lambda: [excerpt.call() for excerpt in excerpts], excerpts[0].num_parts)

    def _member_probs(self, num_events: int, given: Tensor | None, known: Tensor | None) -> Tensor:
        """Probability `(B, M)` of each member given what is known, float64 on the CPU."""
        if given is None or known is None:
            return torch.full((num_events, len(self._models)), 1 / len(self._models)).double()
        values, known = known_values(self.spec, num_events, given, known)
        for member in self._models:
            member.layout.prefix_length(known)
        scored = known.bool().expand_as(values)
        with evaluation_mode(self):
            joint = torch.stack([m.log_prob(values, scored) for m in self._models], dim=-1)
        return joint.cpu().double().softmax(-1)
