"""`Flow`: an invertible network and a standard normal make a density of real events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor, nn

from arbench.errors import PluginError
from arbench.probability.events import EventSpec, Real
from arbench.probability.heads.gaussian import normal_log_density, standard_normal
from arbench.probability.precision import evaluation_mode, widest_dtype
from arbench.probability.randomness import seeded
from arbench.probability.samplers import OnSite, draw_noise

if TYPE_CHECKING:
    from arbench.probability.bits import Kind
    from arbench.probability.density import Excerpt

# The samplers that a flow may have, the default first, and which of its methods each one calls.
INVERSES = {"inverse": "inverse", "whole": "inverse_whole"}


def is_flow(network_class: object) -> bool:
    """Whether a class of networks is one of flows: whether it has `inverse`; see `FlowNetwork`."""
    return hasattr(network_class, "inverse")


def require_real_events(spec: EventSpec) -> None:
    """Refuse events that no flow has a density of.

    Raises:
        ValueError: if they are discrete.
    """
    if not isinstance(spec.domain, Real):
        raise ValueError(
            f"a flow is a density of real numbers, and the data are {spec.domain}; take a task of "
            "real numbers, or a model with a head"
        )


@final
class Flow(nn.Module):
    """A density by change of variables: `log p(x) = log N(z; 0, 1) + log |det dz/dx|`.

    It knows whole events only: a dim given those before it has no density in closed form, so a flow
    offers no conditionals and completes nothing.

    Source: Dinh, Krueger and Bengio, "NICE: non-linear independent components estimation", 2014,
    equation 2.

    Args:
        network: maps events to latents and back; see `FlowNetwork`.
        spec: shape and domain of the events, which are real.
        fresh: makes another such network, with weights as before training; see `reinitialise`.

    Attributes:
        network: as given.
        spec: as given.
        kind: what `log_prob` is, "density".
        samplers: names of the samplers that it has: "inverse", and "whole" if its network can be
            inverted by its definition too.

    Raises:
        ValueError: if the events are discrete.
    """

    kind: Kind = "density"

    def __init__(
        self,
        network: nn.Module,
        spec: EventSpec,
        *,
        fresh: Callable[[], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        require_real_events(spec)
        self.network: Any = network
        self.spec = spec
        self.samplers = tuple(name for name, own in INVERSES.items() if hasattr(network, own))
        self._fresh = fresh

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
        """Log-density of each event in nats; see `Density.log_prob`.

        Args:
            events: `(B, *event_shape)`.
            scored: `(B, *event_shape)` boolean, all True, or None.

        Returns:
            `(B,)` float64 (float32 where the device has no float64).

        Raises:
            ValueError: if events are outside the domain, or some dims are not scored.
        """
        if scored is not None and not bool(scored.all()):
            raise ValueError("a flow has a density of whole events: every dim has to be scored")
        if not self.training:  # training checks its events once an epoch, not once a step
            self.spec.validate(events)
        latents, log_det = self.latents(events.to(device=self.device, dtype=self.dtype))
        widest = widest_dtype(latents.device)
        zero = latents.new_zeros(())
        return normal_log_density(latents, zero, zero).sum(1, dtype=widest) + log_det.to(widest)

    def training_log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """What training makes large, `(B,)`: `log_prob`."""
        return self.log_prob(events, scored)

    def latents(self, events: Tensor) -> tuple[Tensor, Tensor]:
        """What the network makes of events, at least in float32.

        Args:
            events: `(B, *event_shape)`, of the weights' type and on their device.

        Returns:
            Latents `(B, D)`, and the logarithm of the Jacobian's determinant, `(B,)` nats.

        Raises:
            PluginError: if they have other shapes: broadcasting could make a number of them.
        """
        returned = self.network(events)
        expected = [(len(events), self.spec.num_dims), (len(events),)]
        if not (isinstance(returned, tuple) and len(returned) == 2):
            found = type(returned).__name__
        elif [tuple(each.shape) for each in returned] == expected:
            latents, log_det = (
                each.float() if each.dtype in (torch.bfloat16, torch.float16) else each
                for each in returned
            )
            return latents, log_det
        else:
            found = " and ".join(str(tuple(each.shape)) for each in returned)
        raise PluginError(
            f"{type(self.network).__name__}: forward returned {found}, expected latents and a "
            f"log_det of shapes (B, D) = {expected[0]} and (B,) = {expected[1]}"
        )

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
        """Independent samples: the inverse of normal quantiles of the noise.

        Args:
            num_events: B.
            generator: a CPU generator; ignored if there is noise.
            noise: `(B, D, 1)` uniforms, float64; by default drawn.
            method: one of `samplers`; "auto" is the first.
            given: None: a flow completes nothing.
            known: likewise.
            progress: called with (events done, B).

        Returns:
            `(B, *event_shape)`, on the model's device.

        Raises:
            ValueError: if a completion is asked for, there is no such sampler, or a shape is wrong.
        """
        if given is not None or known is not None:
            raise ValueError(
                "a flow draws whole events: what it would draw given a part of one is an integral "
                "that has no closed form; complete with an autoregressive model, such as rnade"
            )
        if num_events < 1:
            raise ValueError(f"num_events must be at least 1, got {num_events}")
        if method == "auto":
            method = self.samplers[0]
        if method not in self.samplers:
            raise ValueError(
                f"this flow cannot sample by {method!r}; it has: {', '.join(self.samplers)}"
            )
        expected = (num_events, self.spec.num_dims, 1)
        if noise is None:
            noise = self.draw_noise(num_events, generator)
        if tuple(noise.shape) != expected:
            raise ValueError(f"noise has shape (B, D, 1) = {expected}, got {tuple(noise.shape)}")
        widest = widest_dtype(self.device)
        below_one = noise.to(widest).clamp(max=1 - torch.finfo(widest).eps / 2)
        latents = standard_normal(below_one).squeeze(-1).to(device=self.device, dtype=self.dtype)
        with evaluation_mode(self):
            events: Tensor = getattr(self.network, INVERSES[method])(latents)
        if tuple(events.shape) != (num_events, *self.spec.shape):
            raise PluginError(
                f"{type(self.network).__name__}: {INVERSES[method]} returned events of shape "
                f"{tuple(events.shape)}, expected {(num_events, *self.spec.shape)}"
            )
        if progress is not None:
            progress(num_events, num_events)
        return events

    def draw_noise(self, num_events: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise for that many samples, `(B, D, 1)` float64 on the CPU."""
        return draw_noise(num_events, self.spec.num_dims, 1, generator)

    @property
    def reinitialise(self) -> Callable[[int], Flow]:
        """A flow of the same configuration with fresh weights; see `Untrained.reinitialise`.

        Raises:
            AttributeError: if nobody has told it how its network is made.
        """
        if self._fresh is None:
            raise AttributeError("this flow does not know how its network is made")
        return self._reinitialise

    def _reinitialise(self, seed: int) -> Flow:
        assert self._fresh is not None
        with seeded(seed, torch.device("cpu")):
            network = self._fresh()
        flow = Flow(network, self.spec, fresh=self._fresh)
        return flow.to(device=self.device, dtype=self.dtype).train(self.training)

    def excerpt(self, method: str, batch_size: int) -> Excerpt | None:
        """None: a whole inverse is timed as it is. See `Density.excerpt`."""
        return None
