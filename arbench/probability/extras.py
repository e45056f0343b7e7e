"""What a density or network may offer too: `Conditionals`, `Features`, stepping, flows.

Nothing here runs. Whoever wants one of these asks whether the object has such a method, by
`getattr(density, "conditionals", None)`: a model offers some only where they mean something.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from arbench.probability.density import Density
from arbench.probability.layouts import Layout
from arbench.probability.native.step import NativeStep


class SteppingNetwork(Protocol):
    """The optional part of a network's contract: sampling in T cheap steps."""

    def init_state(self, batch_size: int) -> Any:
        """What is kept for one batch, all of it allocated here; only `step` knows what it is."""
        ...

    def step(self, state: Any, previous: Tensor | None, site: int) -> tuple[Tensor, Any]:
        """Parameters of one site. Sites are visited in order, from 0.

        Args:
            state: from `init_state` or the step before; may be updated in place.
            previous: `(B, site_dim)` value of site - 1, or None at the first site.
            site: t.

        Returns:
            `(B, P)` parameters, and the state.
        """
        ...


class PrefillingNetwork(SteppingNetwork, Protocol):
    """The optional part of a network's contract: it reads the sites before the first step at once.

    Long given prefixes then cost about one forward, not a step for each of their sites.
    """

    def prefill(self, state: Any, sites: Tensor) -> Any:
        """The state after the steps of the first n sites, up to rounding.

        Args:
            state: from `init_state`, before any step; may be updated in place.
            sites: `(B, n, site_dim)`, n from 1 to T - 1. Their values but the last are what the
                steps would have been told; the last is told by the step that comes next, of site n.
        """
        ...


class NativeSteppingNetwork(SteppingNetwork, Protocol):
    """The optional part of a network's contract: its step for a compiler; see `NativeStep`."""

    def native_step(self, batch_size: int) -> NativeStep | None:
        """The same function as `step`, up to the order of sums, for discrete sites of one dim.

        What its step needs is imported here, and no sooner: Numba is an extra.

        Args:
            batch_size: B, of the batch to be sampled.

        Returns:
            None where these settings have no native step, or Python's is the faster one for B.
        """
        ...


class TailNetwork(Protocol):
    """The optional part of a network's contract: parameters of the last sites alone.

    A window over a stream scores its last sites only, and its density asks for no others. Worth
    offering where the layers above the last one that reads other sites are a large part.
    """

    def tail_params(self, sites: Tensor, first: int) -> Tensor:
        """`forward(sites)[:, first:]`, up to rounding.

        Args:
            sites: `(B, T, site_dim)`, all of them.
            first: of the sites whose parameters are wanted, from 1 to T - 1.

        Returns:
            `(B, T - first, P)`.
        """
        ...


class SitewiseNetwork(Protocol):
    """The optional part of a network's contract: how much it keeps of each site at once.

    An evaluation on a processor then takes as many events at once as fit into its cache. A network
    that has no layer with units for every site, such as MADE, leaves it out.

    Attributes:
        units_per_site: of the layer whose units go on to the next, such as a residual stream.
    """

    units_per_site: int


class KernelNetwork(Protocol):
    """The optional part of a network's contract: several ways to compute, equal up to rounding.

    The constructor chooses one. A training goes on with the one that it began with, which its
    checkpoint and its record name; so a resumed one ends with the same bytes.

    Attributes:
        forward_kernels: their names. The first is the oldest: folders that name none were made with
            it.
        forward_kernel: the one in use; may be set.
    """

    forward_kernels: tuple[str, ...]
    forward_kernel: str


class FeatureNetwork(Protocol):
    """The optional part of a network's contract: how it sees whole events."""

    def features(self, sites: Tensor) -> Tensor:
        """A vector for each event that another model could learn from, such as hidden units.

        Each is made of its own event alone, in evaluation mode.

        Args:
            sites: `(B, T, site_dim)`, all of them known; see `forward`.

        Returns:
            `(B, H)` floating-point.
        """
        ...


class AnyOrderNetwork(Protocol):
    """The optional part of a network's contract: one set of weights answers for any order.

    Any network whose weights belong to places can be asked in another order (`reordered`). This
    one was trained for all of them, so its model completes any set of known dims: in an order that
    begins with those.

    Attributes:
        any_order: True.
    """

    any_order: bool

    def reordered(self, layout: Layout, mask_seed: int) -> nn.Module:
        """A view with the same weights in another order."""
        ...

    def training_params(self, sites: Tensor) -> tuple[Tensor, Tensor]:
        """What training uses in place of `forward`; a network may leave it out.

        Parameters need not be those given the sites before, but the log-probabilities that they
        give the sites, each times its weight, have a sum whose expectation is the mean over all
        orders of the event's log-probability. Orders and the like are drawn from torch's global
        generator, which training seeds for every step.

        Args:
            sites: `(B, T, site_dim)`; see `forward`.

        Returns:
            `(B, T, P)` parameters and `(B, T)` weights.
        """
        ...


class FlowNetwork(Protocol):
    """The contract of a flow: a network of another kind, that maps events to latents and back.

    A class with `inverse` is a flow. It is built as `Network(spec, *, hidden=...)`, without layout
    and head: its density is `Flow`, and its events are real. An event's latents depend on that
    event alone. It may also have `inverse_whole`, which is `inverse` by its definition where that
    has a faster way, and `blocks`, modules that it goes through in order: each returns its output
    and its own log-determinant, and has an `inverse`; the checks then ask each block alone.
    """

    def forward(self, events: Tensor) -> tuple[Tensor, Tensor]:
        """Latents, which training makes standard normal, and the change of volume.

        Args:
            events: `(B, *event_shape)` floating point.

        Returns:
            Latents `(B, D)`, and `log |det d latents / d events|`, `(B,)` nats.
        """
        ...

    def inverse(self, latents: Tensor) -> Tensor:
        """The events `(B, *event_shape)` that have these latents `(B, D)`."""
        ...


class Conditionals(Protocol):
    """What a density of discrete events may offer, too: every distribution that makes an event."""

    def conditionals(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """How likely every value of every dim is, given the dims before it in the density's order.

        Args:
            events: `(B, *event_shape)`.
            scored: as for `log_prob`; what is not scored has distributions all the same.

        Returns:
            `(B, *event_shape, K)` float64 (float32 where the device has none), log-probabilities
            in nats. Those of the values that an event has sum to its `log_prob`, up to the rounding
            of that. For 256 values that is much memory: ask for few events at a time.
        """
        ...


@runtime_checkable
class Features(Protocol):
    """What a density may offer, too: how it sees an event, for others to learn from.

    A model offers it if its network does (`FeatureNetwork`).
    """

    def features(self, events: Tensor) -> Tensor:
        """A vector for each event, such as a mean over hidden units.

        Args:
            events: `(B, *event_shape)`.

        Returns:
            `(B, H)` floating-point, on the density's device.
        """
        ...


@runtime_checkable
class Untrained(Protocol):
    """What a density may offer, too: itself before it was trained, to compare with."""

    def reinitialise(self, seed: int) -> Density:
        """A density of the same configuration with fresh weights; this one stays as it is."""
        ...
