"""What a check is run on: one network class on one tiny event spec and order."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from arbench.errors import PluginError
from arbench.probability.events import EventSpec, Mixed, Real
from arbench.probability.flows.flow import Flow
from arbench.probability.heads.base import Head
from arbench.probability.heads.gaussian_mixture import GaussianMixture
from arbench.probability.heads.mixed import MixedHead
from arbench.probability.heads.natural import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.probability.promises import ROUNDING
from arbench.testing.tiny import TinyEvents

_NUM_SHARPENING_EVENTS = 6
_NUM_SHARPENING_STEPS = 60
_NUM_COPIES = 1000

AnyDensity = TypeVar("AnyDensity", Model, Flow)


class ConformanceError(PluginError):
    """A model breaks a promise; the message is one sentence, with the evidence, for a modeller."""


class NotApplicableError(Exception):
    """A check has nothing to say about this network here; the message says why."""


def tiny_head(layout: Layout) -> Head:
    """The natural head; for real dims a small one with scales above 0.05, to be integrated over."""
    if isinstance(layout.domain, Real):
        return GaussianMixture(layout, num_components=3, min_log_scale=-3.0)
    if isinstance(layout.domain, Mixed):
        return MixedHead(layout, num_components=3, min_log_scale=-3.0)
    return natural_head(layout)


@dataclass(frozen=True, eq=False)
class TinySubject(Generic[AnyDensity]):
    """One network class on tiny events of one kind, in float64.

    A network class may say three things about its own checks, as class attributes:
    `tiny_hyperparameters`, keyword arguments that make it small; `known_failures`, from "influence"
    to the reason why its blind spots are meant; `reordered_sums = True`, if causality holds only
    up to the rounding of a sum that is reordered, such as an FFT.

    Args:
        network_class: what a plugin registers.
        tiny: the events.
        hyperparameters: keyword arguments, over `tiny_hyperparameters`.
    """

    network_class: Callable[..., nn.Module]
    tiny: TinyEvents
    hyperparameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def make(self, hyperparameters: Mapping[str, Any]) -> AnyDensity:
        """A newly initialised density with those keyword arguments.

        Raises:
            ValueError: if the network or the head refuses the spec.
        """
        raise NotImplementedError

    @property
    def spec(self) -> EventSpec:
        """Shape and domain of the events."""
        return self.tiny.spec

    @property
    def tolerance(self) -> float:
        """How far, relative to the largest parameter, rounding may move what nothing influences."""
        return ROUNDING if getattr(self.network_class, "reordered_sums", False) else 0.0

    def random_events(self, num_events: int, seed: int) -> Tensor:
        """Random events, `(num_events, *shape)`; see `TinyEvents.random`."""
        return self.tiny.random(num_events, seed)

    @property
    def sharpening_events(self) -> Tensor:
        """The few events that `sharpened` models are trained on."""
        return self.random_events(_NUM_SHARPENING_EVENTS, seed=1)

    def fresh(self, seed: int = 0) -> AnyDensity:
        """A newly initialised model in float64 and evaluation mode.

        Raises:
            NotApplicableError: if the network or the head refuses the spec with a ValueError.
        """
        tiny = getattr(self.network_class, "tiny_hyperparameters", {})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                made = self.make({**tiny, **self.hyperparameters})
            except ValueError as error:
                raise NotApplicableError(str(error)) from error
        return made.double().eval()

    def sharpened(self) -> AnyDensity:
        """A copy of a model that was trained on a few random events.

        At initialisation conditionals are near uniform and dependence is weak, or absent where an
        author starts weights at zero: then shifted samplers and leaking masks are invisible.
        """
        return copy.deepcopy(self._sharpened)

    @functools.cached_property
    def _sharpened(self) -> AnyDensity:
        model = self.fresh()
        events = self.sharpening_events
        scored = self.tiny.scored(events)
        # Real values reach beyond the few events, where what is learned from them runs away.
        learning_rate = 0.005 if self.tiny.is_real else 0.02
        learn(model, events, scored, num_steps=_NUM_SHARPENING_STEPS, learning_rate=learning_rate)
        return model


@dataclass(frozen=True, eq=False)
class Subject(TinySubject[Model]):
    """One network class on tiny events of one kind, in one order, in float64.

    Args:
        network_class: what a plugin registers.
        tiny: the events.
        order_seed: of a random order; None is the raster scan.
        head: makes the head for the layout; by default the natural one, see `tiny_head`.
        hyperparameters: keyword arguments, over `tiny_hyperparameters`.
    """

    order_seed: int | None = None
    head: Callable[[Layout], Head] = tiny_head

    @functools.cached_property
    def layout(self) -> Layout:
        """The sites of the events, in the order."""
        return self.tiny.layout(self.order_seed)

    def make(self, hyperparameters: Mapping[str, Any]) -> Model:
        """A model with those keyword arguments of its network."""
        head = self.head(self.layout)
        network = self.network_class(self.layout, head.num_params, **hyperparameters)
        return Model(network, head, self.layout)


def learn(
    model: Model | Flow,
    events: Tensor,
    scored: Tensor | None = None,
    *,
    num_steps: int,
    learning_rate: float,
    enough_nats: float = -math.inf,
) -> float:
    """Train on events, by Adam or by the network's own `fit`, then back to evaluation mode.

    Args:
        model: changed in place.
        events: `(B, *shape)`, one batch.
        scored: `(B, *shape)` boolean, or None.
        num_steps: at most so many.
        learning_rate: of Adam.
        enough_nats: stop when an event costs less than that.

    Returns:
        Mean nats per event afterwards.
    """
    if hasattr(model.network, "fit"):
        assert isinstance(model, Model)  # a flow is trained by gradients
        sites = model.layout.to_sites(events)
        counted = None if scored is None else model.layout.scored_sites(scored)
        for _ in model.network.fit([(sites, counted)] * _NUM_COPIES) or ():
            pass  # it says how far it is
    weights = [p for p in model.parameters() if p.requires_grad]
    if not hasattr(model.network, "fit") and weights:
        optimizer = torch.optim.Adam(weights, lr=learning_rate)
        model.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for _ in range(num_steps):
                optimizer.zero_grad()
                loss = -model.training_log_prob(events, scored).mean()
                # The loss may be an estimate, which is low by chance.
                if loss.item() < enough_nats and _nats(model, events, scored) < enough_nats:
                    break
                torch.autograd.backward(loss)
                optimizer.step()
        model.eval()
    return _nats(model, events, scored)


def _nats(model: Model | Flow, events: Tensor, scored: Tensor | None) -> float:
    with torch.no_grad():
        return -model.log_prob(events, scored).mean().item()


def site_params(model: Model, events: Tensor) -> Tensor:
    """The network's parameters `(B, T, P)` for events, checked for shape and dtype.

    Raises:
        ConformanceError: if the shape is not `(B, T, P)`, the dtype not float64, or a value is not
            finite.
    """
    sites = model.layout.to_sites(events)
    with torch.no_grad():
        params: Tensor = model.network(sites)
    expected = (len(sites), model.layout.num_sites, model.head.num_params)
    if tuple(params.shape) != expected:
        raise ConformanceError(
            f"forward returned parameters of shape {tuple(params.shape)}, expected "
            f"(B, T, P) = {expected}"
        )
    if params.dtype != torch.float64:
        raise ConformanceError(
            f"forward returned {params.dtype} from float64 weights: something is cast on the way"
        )
    if not bool(params.isfinite().all()):
        site = int((~params.isfinite()).nonzero()[0, 1])
        raise ConformanceError(f"a parameter at site {site} is not finite on ordinary events")
    return params
