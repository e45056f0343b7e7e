"""`Model`: network, head and layout make a density; loss, `log_prob`, sampling."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor, nn

from arbench.errors import PluginError
from arbench.probability.events import Discrete, EventSpec, Mixed
from arbench.probability.heads.base import Head
from arbench.probability.layouts import Layout
from arbench.probability.native.step import Kernel, in_one_thread, native_step_of
from arbench.probability.precision import evaluation_mode, widest_dtype
from arbench.probability.randomness import seeded
from arbench.probability.samplers import SAMPLERS, OnSite, Watch, draw_noise, excerpt_of_whole

if TYPE_CHECKING:
    from arbench.probability.bits import Kind
    from arbench.probability.density import Excerpt
    from arbench.probability.walks.reference_path import ReferencePath


@final
class Model(nn.Module):
    """An exact autoregressive density: `log p(x) = sum_t log p(x_t | x_<t)`.

    Args:
        network: maps sites `(B, T, site_dim)` to parameters `(B, T, P)`; parameters of site t
            see sites before t only. It may offer `init_state` and `step`, `features`, and
            `any_order`; see `SteppingNetwork`, `FeatureNetwork` and `AnyOrderNetwork`.
        head: what the parameters mean.
        layout: how events become sites.
        fresh: makes another such network, with weights as before training; see `reinitialise`.

    Attributes:
        network: as given.
        head: as given.
        layout: as given.
        spec: shape and domain of the events.
        kind: what `log_prob` is: "exact" for discrete data, "density" where dims are real.
        samplers: names of the samplers that this model has, the default first.

    Raises:
        ValueError: if the head is of other dims than the layout.
    """

    def __init__(
        self,
        network: nn.Module,
        head: Head,
        layout: Layout,
        *,
        fresh: Callable[[], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if head.layout.domain != layout.domain:
            raise ValueError(
                f"the {head.name} head was made for other dims, or for another order of them"
            )
        self.network: Any = network
        self.head = head
        self.layout = layout
        self.spec: EventSpec = layout.spec
        self.kind: Kind = head.kind
        self._fresh = fresh
        has_step = hasattr(network, "step") and hasattr(network, "init_state")
        self.samplers = tuple(name for name in SAMPLERS if name != "step" or has_step)
        # The head of a mixed table needs all sites at once.
        self._has_tails = hasattr(network, "tail_params") and not isinstance(layout.domain, Mixed)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        tensors = (*self.parameters(), *self.buffers())
        return tensors[0].device if tensors else torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the weights."""
        tensors = (*self.parameters(), *self.buffers())
        return next((t.dtype for t in tensors if t.is_floating_point()), torch.float64)

    def forward(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """The same as `log_prob`."""
        return self.log_prob(events, scored)

    def log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """Log-probability of each event in nats; see `Density.log_prob`.

        Args:
            events: `(B, *event_shape)`.
            scored: `(B, *event_shape)` boolean, or None.

        Returns:
            `(B,)` float64 (float32 where the device has no float64).
        """
        per_site = self.site_log_probs(events, scored)
        return per_site.sum(1, dtype=widest_dtype(per_site.device))

    def training_log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """What training makes large, `(B,)`: `log_prob`, or an estimate of its mean over orders.

        A network trained over all orders estimates (see `AnyOrderNetwork.training_params`). Events
        that differ in length have a likelihood in the raster scan alone, so they train in it.
        """
        if scored is not None or not hasattr(self.network, "training_params"):
            return self.log_prob(events, scored)
        sites = self.sites_of(events)
        params, weights = self.network.training_params(sites)
        self._require_shape(params, sites, "training_params")
        if params.dtype in (torch.bfloat16, torch.float16):
            params = params.float()
        terms: Tensor = self.head.log_prob(params, sites) * weights
        return terms.sum(1, dtype=widest_dtype(terms.device))

    def site_log_probs(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """Conditional log-probabilities `(B, T)` in nats, in the layout's order.

        Sites that are not scored hold 0.

        Raises:
            ValueError: if events are outside the domain, or cannot be scored so in this layout;
                see `Layout.scored_sites`.
        """
        if not self.training:  # training checks its events once an epoch, not once a step
            self.spec.validate(events)
        sites = self.sites_of(events)
        counted = None if scored is None else self.layout.scored_sites(scored.to(sites.device))
        if counted is None:
            return self.head.log_prob(self.site_params(sites), sites)
        if self._has_tails and not self.training:
            log_probs = self._tail_log_probs(sites, counted)
        else:
            log_probs = self.head.log_prob(self.site_params(sites), sites)
        return log_probs.masked_fill(~counted, 0.0)

    def _tail_log_probs(self, sites: Tensor, counted: Tensor) -> Tensor:
        """Log-probabilities `(B, T)`, right where counted; what lies before that is left out.

        Of a stream the first window scores all of its sites, and the others score their last ones.
        """
        begins = counted.long().argmax(1)
        log_probs = torch.zeros(counted.shape, dtype=self.dtype, device=sites.device)
        for chosen in (begins == 0, begins > 0):
            if bool(chosen.any()):
                first, own = int(begins[chosen].min()), sites[chosen]
                found = self.head.log_prob(self.site_params(own, first), own[:, first:])
                log_probs[chosen, first:] = found.to(self.dtype)
        return log_probs

    def sites_of(self, events: Tensor) -> Tensor:
        """The sites `(B, T, site_dim)` of events, on the model's device, as its network takes them.

        Discrete ones are int64, real and mixed ones of the type of the weights.
        """
        sites = self.layout.to_sites(events.to(self.device))
        return sites.long() if isinstance(self.layout.domain, Discrete) else sites.to(self.dtype)

    def site_params(self, sites: Tensor, first: int = 0) -> Tensor:
        """The network's parameters `(B, T - first, P)`, in float32 at least.

        Args:
            sites: `(B, T, site_dim)`.
            first: of the sites whose parameters are wanted; see `TailNetwork`.

        Raises:
            PluginError: if they have another shape: broadcasting could make a number of it.
        """
        params: Tensor = self.network.tail_params(sites, first) if first else self.network(sites)
        self._require_shape(params, sites[:, first:], "tail_params" if first else "forward")
        return params.float() if params.dtype in (torch.bfloat16, torch.float16) else params

    def _require_shape(self, params: Tensor, sites: Tensor, made_by: str) -> None:
        expected = (*sites.shape[:2], self.head.num_params)
        if tuple(params.shape) != expected:
            raise PluginError(
                f"{type(self.network).__name__}: {made_by} returned parameters of shape "
                f"{tuple(params.shape)}, expected (B, T, P) = {expected}"
            )

    def dim_log_probs(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """Conditional log-probabilities in nats, each at its dim's place in the event.

        Over an event they sum to `log_prob`. The dims of a site are drawn together, so each has an
        equal share of what the site has.

        Returns:
            `(B, *event_shape)` float64 (float32 where the device has none); 0 where not scored.
        """
        per_site = self.site_log_probs(events, scored)
        size = self.layout.site_dim
        shares = per_site.to(widest_dtype(per_site.device)) / size
        return self.layout.to_events(shares.unsqueeze(-1).expand(-1, -1, size))

    @property
    def conditionals(self) -> Callable[..., Tensor]:
        """How likely every value of every dim is; see `Conditionals.conditionals`.

        Raises:
            AttributeError: if real dims, or a head that draws the dims of a site together, leave
                nothing to say.
        """
        from arbench.probability.heads.conditionals import conditionals_of, offers_conditionals

        if not offers_conditionals([self]):
            raise AttributeError("this model has no conditionals")
        return functools.partial(conditionals_of, [self])

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
        watch: Watch | None = None,
    ) -> Tensor:
        """Independent samples, or completions of given events.

        Args:
            num_events: B.
            generator: a CPU generator; the samples depend on it alone.
            noise: `(B, T, U)` float64 instead of a generator.
            method: "step", "fixed-point" or "whole"; "auto" is the first one available.
            given: `(B, *event_shape)` or `event_shape`, values to complete; needs `known`.
            known: `event_shape` boolean, which dims of `given` are known: a prefix in the layout's
                order, or any dims if the network answers for any order; see `completing`.
            progress: called with (sites done, T).
            watch: takes the sites `(B, T, site_dim)` that will be drawn, and returns `progress`.

        Returns:
            `(B, *event_shape)`; int64 for discrete domains.

        Raises:
            ValueError: if there is no event to draw, the known dims are no prefix in the layout's
                order, a given value is outside the domain, a shape is wrong, or the method is not
                available.
        """
        if num_events < 1:
            raise ValueError(f"num_events must be at least 1, got {num_events}")
        if method == "auto":
            method = self.samplers[0]
        if method not in self.samplers:
            raise ValueError(
                f"this model cannot sample by {method!r}; it has: {', '.join(self.samplers)}"
            )
        with in_one_thread():
            expected = (num_events, self.layout.num_sites, self.head.num_uniforms)
            noise = draw_noise(*expected, generator) if noise is None else noise
            if noise.shape != expected:
                raise ValueError(f"noise (B, T, U) has shape {expected}, got {tuple(noise.shape)}")
            model, values, num_given = self, torch.zeros(num_events, *self.spec.shape), 0
            if given is not None or known is not None:
                values, known = known_values(self.spec, num_events, given, known)
                model = self.completing(known)
                num_given = model.layout.prefix_length(known)
            start = model.sites_of(values)
        with evaluation_mode(model):
            source = model.network if method == "step" else model.site_params
            progress = progress if watch is None else watch(start)
            sites = SAMPLERS[method](source, model.head, noise, start, num_given, progress)
        with in_one_thread():
            return model.layout.to_events(sites)

    def completing(self, known: Tensor) -> Model:
        """The model whose conditional given some dims can be drawn from exactly.

        It is this one, unless its network answers for any order and the known dims are no prefix of
        this one's: then it shares the weights, and its order begins with the known dims
        (`Layout.known_first`). Its `log_prob` is that of its own order, and not this one's.

        Args:
            known: `event_shape` boolean, True where a value is given.
        """
        if not getattr(self.network, "any_order", False):
            return self
        layout = self.layout.known_first(known)
        if torch.equal(layout.permutation, self.layout.permutation):
            return self
        return Model(self.network.reordered(layout, 0), self.head, layout)

    def reference_path(self, dtype: torch.dtype = torch.float64) -> ReferencePath:
        """Its probabilities one dim after the other, from a copy of it; see `ReferencePath`.

        Args:
            dtype: float64 for what must come out the same elsewhere; float32 takes half the time.

        Raises:
            ValueError: if the dims are real numbers, whose values nobody can list.
        """
        from arbench.probability.walks.reference_path import ReferencePath

        if not isinstance(self.layout.domain, Discrete):
            raise ValueError(
                "some dims are real numbers: their values have no probabilities"
                if not isinstance(self.layout.domain, Mixed)
                else "the dims of a mixed table have no common list of values"
            )
        copied = copy.deepcopy(self).cpu().to(dtype).eval()
        return ReferencePath(copied.network, copied.head, copied.site_params)

    @property
    def features(self) -> Callable[[Tensor], Tensor]:
        """A vector for each event, as its network sees it; see `Features.features`.

        Raises:
            AttributeError: if its network offers none.
        """
        if not hasattr(self.network, "features"):
            raise AttributeError("this model's network offers no features")
        return self._features

    @torch.no_grad()
    def _features(self, events: Tensor) -> Tensor:
        self.spec.validate(events)
        with evaluation_mode(self):
            features: Tensor = self.network.features(self.sites_of(events))
        if features.dim() != 2 or len(features) != len(events) or not features.is_floating_point():
            raise PluginError(
                f"{type(self.network).__name__}: features returned {tuple(features.shape)} "
                f"{features.dtype}, expected floating-point (B, H) with B = {len(events)}"
            )
        return features

    @property
    def reinitialise(self) -> Callable[[int], Model]:
        """A model of the same configuration with fresh weights; see `Untrained.reinitialise`.

        Raises:
            AttributeError: if nobody has told it how its network is made.
        """
        if self._fresh is None:
            raise AttributeError("this model does not know how its network is made")
        return self._reinitialise

    def _reinitialise(self, seed: int) -> Model:
        assert self._fresh is not None
        with seeded(seed, torch.device("cpu")):
            network = self._fresh()
        model = Model(network, self.head, self.layout, fresh=self._fresh)
        return model.to(device=self.device, dtype=self.dtype).train(self.training)

    def draw_noise(self, num_events: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise for that many samples, `(B, T, U)` float64 on the CPU."""
        return draw_noise(num_events, self.layout.num_sites, self.head.num_uniforms, generator)

    @torch.no_grad()
    def kernel(self, method: str, batch_size: int) -> Kernel:
        """What takes the steps of a sampler for batches of a size: "native" code, or "python"."""
        if method != "step":
            return "python"
        sites = self.sites_of(torch.zeros(batch_size, *self.spec.shape))
        return "native" if native_step_of(self.network, self.head, sites) else "python"

    def excerpt(self, method: str, batch_size: int) -> Excerpt | None:
        """A few of the whole forwards of the "whole" sampler; see `Density.excerpt`."""
        if method != "whole":
            return None
        with evaluation_mode(self):
            noise = self.draw_noise(batch_size, torch.Generator().manual_seed(0))
            sites = self.layout.to_sites(self.sample(batch_size, noise=noise))
            return excerpt_of_whole(self.site_params, self.head, noise, sites)


def known_values(
    spec: EventSpec, num_events: int, given: Tensor | None, known: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The given events where they are known, and 0 elsewhere: what is unknown may hold anything.

    Args:
        spec: of the events.
        num_events: B.
        given: `(B, *event_shape)` or `event_shape`.
        known: `event_shape` boolean.

    Returns:
        The values `(B, *event_shape)`, and which dims are known, `event_shape` boolean.

    Raises:
        ValueError: if the shape is wrong, a known value is outside the domain, or there is one of
            both alone.
    """
    if given is None or known is None:
        raise ValueError("a completion needs both: the given events and which dims are known")
    if given.dim() == len(spec.shape):
        given = given.expand(num_events, *spec.shape)
    if len(given) != num_events:
        raise ValueError(f"{num_events} samples need as many given events, got {len(given)}")
    values = given.masked_fill(~known.bool().to(given.device), 0)
    spec.validate(values)
    return values, known
