"""`ForeignDensity`: adapts somebody else's `log_prob` and `sample`; dequantisation.

Whatever is converted on the way is written here or in the two functions that the user gives;
nothing is guessed from what happens to come out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from arbench.errors import ConfigError, PluginError
from arbench.probability.bits import Kind
from arbench.probability.density import Excerpt
from arbench.probability.events import Discrete, EventSpec, Mixed, Real
from arbench.probability.precision import evaluation_mode
from arbench.probability.randomness import seeded

# Models of other libraries may speak numpy: what they take and give is theirs to say.
ToInput = Callable[[Tensor], Any]
FromOutput = Callable[[Any], Any]
Dequantisation = Literal["uniform"]

# What rounding may add to the logarithm of a probability of 1.
_ROUNDING_NATS = 1e-4


@final
class ForeignDensity:
    """A density around any object with `log_prob(x)` and `sample(n)`.

    Args:
        source: the object. `log_prob(x)` returns `(B,)` nats, `sample(n)` returns n events, both as
            tensors or numpy arrays; a `torch.distributions.Distribution` is sampled by
            `sample((n,))`. If `log_prob` has a parameter `scored`, it is given the mask of the dims
            that count, or None; without one, only tasks that score every dim can be evaluated. If
            `sample` has a parameter `generator`, it is given a `torch.Generator`; else torch's
            global generator is seeded.
        spec: shape and domain of the events.
        kind: what `log_prob` is: "exact" the log-probability of discrete events, "density" the
            log-density of real ones, "bound" a lower bound on either.
        to_input: makes what `log_prob` expects of events `(B, *event_shape)`, which are int64 if
            discrete, else of the task's floating-point type, on the source's device. None hands
            them over as they are.
        from_output: makes events of what `sample` returns. None takes it as it is.
        log_det: logarithm of the absolute determinant of `to_input`'s derivative, in nats per
            event, which is added to every log-density; where `to_input` changes real numbers it
            has to be stated, as 0.0 if it keeps their scale.
        dequantisation: "uniform" adds noise from [0, 1) to every discrete dim before `to_input`.
            The log-density at x + u is on average a lower bound on log P(x), so `kind`, which is
            stated as "density", becomes "bound".
            Source: Theis, van den Oord and Bethge, "A note on the evaluation of generative
            models", ICLR 2016, section 3.1.
        module: the weights behind the source, if it is no `nn.Module` itself: put in evaluation
            mode, counted, and asked for the device. Without weights the device is the CPU.
        library: the distribution that the source comes from, such as "zuko", for the record.

    Raises:
        ConfigError: if the parts contradict each other; one sentence that says how.
    """

    samplers: tuple[str, ...] = ("own",)

    def __init__(
        self,
        source: Any,
        *,
        spec: EventSpec,
        kind: Kind,
        to_input: ToInput | None = None,
        from_output: FromOutput | None = None,
        log_det: float | None = None,
        dequantisation: Dequantisation | None = None,
        module: nn.Module | None = None,
        library: str | None = None,
    ) -> None:
        for name in ("log_prob", "sample"):
            if not callable(getattr(source, name, None)):
                raise ConfigError(f"{type(source).__name__} has no {name}; a density needs one")
        _require_consistent(spec, kind, dequantisation)
        is_real = isinstance(spec.domain, Real) or dequantisation is not None
        if is_real and to_input is not None and log_det is None:
            raise ConfigError(
                "to_input may scale real numbers, which changes their density: state log_det, the "
                "logarithm of the absolute determinant of its derivative in nats per event (0.0 "
                "if it keeps their scale)"
            )
        if not is_real and log_det is not None:
            raise ConfigError("probabilities of discrete events do not scale: give no log_det")
        self.source = source
        self.module = source if module is None and isinstance(source, nn.Module) else module
        self.library = library
        self.dequantisation = dequantisation
        self.log_det = log_det or 0.0
        self.to_input: ToInput = to_input or _as_it_is
        self.from_output: FromOutput = from_output or _as_it_is
        self._spec = spec
        self._kind = kind
        self._takes_scored = _has_parameter(source.log_prob, "scored")
        self._takes_generator = _has_parameter(source.sample, "generator")

    @property
    def spec(self) -> EventSpec:
        """Shape and domain of the events."""
        return self._spec

    @property
    def kind(self) -> Kind:
        """What `log_prob` is; through dequantisation a density becomes a bound."""
        return self._kind if self.dequantisation is None else "bound"

    @property
    def device(self) -> torch.device:
        """Where the weights are; the CPU if nothing is known of them."""
        return next((t.device for t in self._tensors), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the weights; float32 if nothing is known of them."""
        return next((t.dtype for t in self._tensors if t.is_floating_point()), torch.float32)

    @property
    def num_parameters(self) -> int | None:
        """Trainable parameters; None if nothing is known of them."""
        if self.module is None:
            return None
        return sum(p.numel() for p in self.module.parameters())

    @property
    def is_probability(self) -> bool:
        """Whether `log_prob` is of probabilities of discrete events, or bounds them directly."""
        return isinstance(self.spec.domain, Discrete) and self.dequantisation is None

    @property
    def takes_scored(self) -> bool:
        """Whether `log_prob` can leave dims unscored."""
        return self._takes_scored

    @property
    def may_be_random(self) -> bool:
        """Whether two evaluations of one event may differ: a bound may rest on random draws."""
        return self.kind == "bound"

    def log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """Log-probability of each event in nats; see `Density.log_prob`.

        Returns:
            `(B,)` float64 on the CPU; minus infinity where the source gives an event no
            probability.

        Raises:
            ValueError: if the events are not of the spec.
            PluginError: if the source returns another shape or type, NaN, plus infinity or a
                probability above 1, or it or its `log_det` cannot leave dims unscored.
        """
        self.spec.validate(events)
        arguments: dict[str, Tensor | None] = {}
        leaves_out = scored is not None and not bool(scored.all())
        if leaves_out and self.log_det != 0:
            raise PluginError(
                f"{self}: log_det is of whole events, and these leave dims unscored: state "
                "log_det=0.0, and let log_prob add the scale of the dims that it scores"
            )
        if self._takes_scored:
            arguments["scored"] = None if scored is None else scored.to(self.device, copy=True)
        elif leaves_out:
            raise PluginError(
                f"{self} cannot leave dims unscored, which these events have: give its log_prob a "
                "second parameter `scored`, (B, *event_shape) boolean, and add up only those dims"
            )
        with evaluation_mode(self.module or nn.Module()):
            result = self.source.log_prob(self.to_input(self._values(events)), **arguments)
        return self._checked(result, len(events)) + self.log_det

    @torch.no_grad()
    def sample(
        self,
        num_events: int,
        *,
        generator: torch.Generator | None = None,
        method: str = "auto",
        given: Tensor | None = None,
        known: Tensor | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Independent events from the source's own sampler; see `Density.sample`.

        Raises:
            ValueError: if another sampler is asked for, or a completion.
            PluginError: if the source returns no events of the spec, or not that many.
        """
        if method not in ("auto", *self.samplers):
            raise ValueError(f"a foreign density has only its own sampler, not {method!r}")
        if given is not None or known is not None:
            raise ValueError("a foreign density draws whole events and completes none")
        seed = int(torch.randint(1 << 62, (), generator=generator))
        number: Any = (num_events,) if isinstance(self.source, Distribution) else num_events
        arguments: dict[str, torch.Generator] = {}
        if self._takes_generator:
            arguments["generator"] = torch.Generator(self.device).manual_seed(seed)
        with seeded(seed, self.device), evaluation_mode(self.module or nn.Module()):
            drawn = self.from_output(self.source.sample(number, **arguments))
        events = self._events(drawn, num_events)
        if progress is not None:
            progress(num_events, num_events)
        return events

    def excerpt(self, method: str, batch_size: int) -> Excerpt | None:
        """None: nothing is known of how it samples."""
        return None

    def __str__(self) -> str:
        return f"{type(self.source).__module__}.{type(self.source).__qualname__}"

    @property
    def _tensors(self) -> tuple[Tensor, ...]:
        if self.module is None:
            return ()
        return (*self.module.parameters(), *self.module.buffers())

    def _values(self, events: Tensor) -> Tensor:
        # Copied: some sources change what they are given. `Shift` of normflows 1.7.3 does.
        values = events.to(self.device, copy=True)
        if isinstance(self.spec.domain, Real):
            return values
        if self.dequantisation is None:
            return values.long()
        return values.float() + torch.rand(values.shape, device=self.device)

    def _checked(self, result: Any, num_events: int) -> Tensor:
        log_probs = torch.as_tensor(result)
        if tuple(log_probs.shape) != (num_events,):
            raise PluginError(
                f"{self}.log_prob returned shape {tuple(log_probs.shape)}, expected "
                f"{(num_events,)}: one number of nats for each event"
            )
        if log_probs.dtype not in (torch.float32, torch.float64):
            raise PluginError(
                f"{self}.log_prob returned {log_probs.dtype}, expected float32 or float64: convert "
                "the weights or the logits, so that the number is not one of rounding"
            )
        log_probs = log_probs.cpu().double()
        limit = _ROUNDING_NATS if self.is_probability else torch.finfo(torch.float64).max
        wrong = ~(log_probs <= limit)  # NaN compares as False
        if bool(wrong.any()):
            first = int(wrong.nonzero()[0])
            reason = (
                "no probability is above 1" if self.is_probability else "that is no log-density"
            )
            raise PluginError(
                f"{self}.log_prob returned {log_probs[first].item():g} nats for event {first} of a "
                f"batch: {reason}"
            )
        return log_probs

    def _events(self, drawn: Any, num_events: int) -> Tensor:
        events = torch.as_tensor(drawn)
        if len(events) != num_events:
            raise PluginError(f"{self}.sample returned {len(events)} events, not {num_events}")
        try:
            self.spec.validate(events)
        except ValueError as error:
            raise PluginError(
                f"{self}.sample: {error}; give a from_output that makes events of what it returns"
            ) from error
        return events.long() if isinstance(self.spec.domain, Discrete) else events


def _require_consistent(spec: EventSpec, kind: Kind, dequantisation: Dequantisation | None) -> None:
    if isinstance(spec.domain, Mixed):
        raise ConfigError(
            f"a foreign density is of events whose dims are alike, and these are {spec.domain}"
        )
    is_real = isinstance(spec.domain, Real)
    if kind not in ("exact", "density", "bound"):
        raise ConfigError(f"a kind is exact, density or bound, got {kind!r}")
    if dequantisation not in (None, "uniform"):
        raise ConfigError(f"a dequantisation is 'uniform' or None, got {dequantisation!r}")
    if is_real and kind == "exact":
        raise ConfigError("real events have a density and no probability: say kind='density'")
    if dequantisation is not None and (is_real or kind != "density"):
        raise ConfigError("dequantisation is for the density of discrete events")
    if not is_real and kind == "density" and dequantisation is None:
        raise ConfigError(
            "a density of discrete events is not a probability: say dequantisation='uniform' for "
            "a bound, or kind='exact' if log_prob does return probabilities"
        )


def _has_parameter(function: Callable[..., object], name: str) -> bool:
    try:
        return name in inspect.signature(function).parameters
    except ValueError:  # some compiled functions have no signature to look at
        return False


def _as_it_is(values: Any) -> Any:
    return values
