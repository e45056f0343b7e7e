"""Parts that are right alone and wrong together, each caught by the check of combinations."""

# The contract of each method is that of the class it breaks.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete
from arbench.probability.heads import Categorical, Head, conditionals
from arbench.probability.heads.tempered import Tempered
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing import combinations
from arbench.testing.conformance import run_check, subjects
from arbench.testing.tiny import TINY_EVENTS
from arbench.testing.toys import LinearNetwork, SteppingTable
from arbench_any_order.network import AnyOrder


class OneCacheForAll(SteppingTable):
    """The state of `step` belongs to the class: alone it is right, of two copies it is the other's.

    The tables differ from copy to copy.
    """

    rows: ClassVar[dict[int, Tensor]] = {}

    def __init__(self, layout: Layout, num_params: int) -> None:
        super().__init__(layout, num_params, seed=int(torch.randint(1 << 20, ())), scale=2.0)

    def init_state(self, batch_size: int) -> Tensor:
        self.rows[batch_size] = super().init_state(batch_size)
        return self.rows[batch_size]

    def step(self, state: Tensor, previous: Tensor | None, site: int) -> tuple[Tensor, Tensor]:
        return super().step(self.rows[len(state)], previous, site)


class Masked(LinearNetwork):
    """A mask by seed, as MADE has: every other weight between sites."""

    seed = 0

    def forward(self, sites: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        with torch.no_grad():
            kept = self.weight.clone()
            self.weight *= torch.rand(self.weight.shape, generator=generator) < 0.5
        params = super().forward(sites)
        with torch.no_grad():
            self.weight.copy_(kept)
        return params

    def reordered(self, layout: Layout, mask_seed: int) -> Masked:
        view = Masked(layout, self.num_params)
        view.weight, view.bias, view.seed = self.weight, self.bias, mask_seed
        return view


def averages_logits(head: Categorical, params: Tensor) -> Tensor:
    """The mean of logits is that of no probabilities."""
    return params.mean(0)


def reads_padding(layout: Layout, scored: Tensor) -> Tensor:
    """What is not scored is context, wherever it lies."""
    return layout.to_sites(scored).all(-1)


def takes_any_prefix(layout: Layout, known: Tensor) -> int:
    """As many sites as are known, whichever they are."""
    return int(known.sum()) // layout.site_dim


def forgets_what_is_given(
    mixture: Ensemble, num_events: int, given: Tensor | None, known: Tensor | None
) -> Tensor:
    """Every member is as likely as before."""
    return torch.full((num_events, len(mixture.members)), 1 / len(mixture.members)).double()


def averages_log_probs(mixture: Ensemble, events: Tensor, scored: Tensor | None = None) -> Tensor:
    """The mean of log-probabilities."""
    return torch.stack([member.log_prob(events, scored) for member in mixture.members]).mean(0)


def weighs_by_the_window(mixture: Ensemble, events: Tensor, scored: Tensor | None = None) -> Tensor:
    """Members count for as much as they know of the whole window, its scored block included."""
    members = list(mixture.members)
    joint = torch.stack([member.log_prob(events) for member in members])
    if scored is None:
        return joint.logsumexp(0) - math.log(len(members))
    block = torch.stack([member.log_prob(events, scored) for member in members])
    return (block + joint.log_softmax(0)).logsumexp(0)


def sharpens_samples_only(head: Tempered, params: Tensor, value: Tensor) -> Tensor:
    """The log-probability is that of the head without a temperature."""
    return head._head.log_prob(params, value)


def divides_twice(head: Tempered, params: Tensor, prepared: Tensor) -> Tensor:
    """Samples are of another temperature than the log-probability."""
    return head._head.draw(params / head._temperature**4, prepared)


def tempers_the_members(density: Any, temperature: float) -> Any:
    """A mixture of tempered members is not the tempered mixture."""
    if isinstance(density, Ensemble):
        return Ensemble([tempers_the_members(m, temperature) for m in density.members])
    return Model(density.network, Tempered(density.head, temperature), density.layout)


def shows_the_next_site(model: Model, events: Tensor) -> Tensor:
    """The distributions of each dim's successor, the last one's twice."""
    found = _OF_SITES(model, events)
    return torch.cat((found[:, 1:], found[:, -1:]), 1)


def looks_ahead(model: Model, events: Tensor) -> Tensor:
    """A dim's probabilities are raised to a power that the dim itself decides, and normalised.

    Its own stays what it was.
    """
    found, own = _OF_SITES(model, events), model.sites_of(events)[..., None]
    kept = found.gather(-1, own)
    others = found.scatter(-1, own, -math.inf).mul(0.5).log_softmax(-1)
    return others.add(torch.log1p(-kept.exp())).scatter(-1, own, kept)


def is_not_normalised(model: Model, events: Tensor) -> Tensor:
    """Logits instead of log-probabilities."""
    return _OF_SITES(model, events) + 0.1


def keeps_the_order_of_sites(layout: Layout, log_probs: Tensor) -> Tensor:
    """Dims are where they come in the order, not where they are in the event."""
    return log_probs.view(-1, *layout.spec.shape, log_probs.shape[-1])


def weighs_all_alike(own: Tensor) -> Tensor:
    """The mean of conditionals, whatever came before."""
    return torch.full_like(own, -math.log(len(own)))


def weighs_by_the_event(own: Tensor) -> Tensor:
    """Members count for as much as they know of the whole event."""
    return own.sum((2, 3), keepdim=True).log_softmax(0).expand_as(own)


def takes_any_members(models: list[Model]) -> bool:
    """As if a dim had probabilities given those before it whatever the orders."""
    return isinstance(models[0].spec.domain, Discrete)


_OF_SITES = conditionals._of_sites

# What is replaced where, by what, on which events, and what the check must say.
CASES: list[tuple[type | Any, str, Callable[..., Any], str, str]] = [
    (Layout, "scored_sites", reads_padding, "words-5", "padding in another order: the prob"),
    (Layout, "prefix_length", takes_any_prefix, "sequence-5", "alone: completes what is no prefix"),
    (Categorical, "averaged", averages_logits, "sequence-5", "copies: log-probabilities of sites"),
    (Ensemble, "_member_probs", forgets_what_is_given, "sequence-5", "completions: "),
    (Ensemble, "log_prob", averages_log_probs, "words-5", "an ensemble of masks: the prob"),
    (Ensemble, "log_prob", weighs_by_the_window, "sequence-5", "windows of a stream: after"),
    (Tempered, "log_prob", sharpens_samples_only, "words-5", "temperature: log-probabilities of"),
    (Tempered, "draw", divides_twice, "sequence-5", "temperature: completions: "),
    (combinations, "at_temperature", tempers_the_members, "binary-2x3", "is given a temperature"),
    (conditionals, "_of_sites", shows_the_next_site, "words-5", "conditionals: those of the val"),
    (conditionals, "_of_sites", looks_ahead, "sequence-5", "conditionals: those of dim"),
    (conditionals, "_of_sites", is_not_normalised, "sequence-5", "conditionals: the probab"),
    (conditionals, "_placed", keeps_the_order_of_sites, "colour-1x2", "conditionals: those of"),
    (conditionals, "_log_weights", weighs_all_alike, "words-5", "an ensemble of masks: cond"),
    (conditionals, "_log_weights", weighs_by_the_event, "words-5", "an ensemble of masks: cond"),
    (
        conditionals,
        "offers_conditionals",
        takes_any_members,
        "sequence-5",
        "an ensemble of orders: c",
    ),
]


def outcome(network: Any, events: str, head: Callable[[Layout], Head] | None = None) -> str:
    """What the check says on these events; empty if it passes."""
    options = {} if head is None else {"head": head}
    found = subjects(network, specs={events: TINY_EVENTS[events]}, **options)
    name, subject = next(iter(found.items()))
    result = run_check("combinations", name, subject)
    assert result.status in ("passed", "failed"), result
    return result.message


@pytest.mark.parametrize(
    ("where", "what", "wrong", "events", "evidence"),
    CASES,
    ids=[f"{case[2].__name__}-{case[3]}" for case in CASES],
)
def test_broken_combination_is_caught_by_name(
    where: Any,
    what: str,
    wrong: Callable[..., Any],
    events: str,
    evidence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(where, what, wrong)
    said = outcome(Masked, events)
    assert evidence in said, said


@pytest.mark.parametrize("events", ["words-5", "sequence-5", "binary-2x3", "real-5"])
def test_the_parts_themselves_pass(events: str) -> None:
    assert outcome(Masked, events) == ""


def turned_round(layout: Layout, known: Tensor) -> Layout:
    """Known sites first, and then the others from the last to the first."""
    sites = layout.to_sites(known[None])[0].all(-1)
    order = layout.permutation
    return Layout(layout.spec, order=[*order[sites].tolist(), *order[~sites].flip(0).tolist()])


def test_completions_in_another_order_than_the_promised_one_are_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Layout, "known_first", turned_round)
    said = outcome(AnyOrder, "sequence-5")
    assert said.startswith("alone: completions of what is no prefix: "), said


def test_copies_that_share_a_cache_are_caught_though_each_is_right_alone() -> None:
    said = outcome(OneCacheForAll, "sequence-5")
    assert said.startswith("copies: "), said
    assert outcome(SteppingTable, "sequence-5") == ""
