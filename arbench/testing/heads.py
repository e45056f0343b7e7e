"""The checks of a head."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from arbench.probability.events import EventSpec, Mixed
from arbench.probability.heads.base import Head
from arbench.probability.layouts import Layout
from arbench.testing.cells import interval_name, interval_numbers, real_grid
from arbench.testing.distributions import require_likely
from arbench.testing.subject import ConformanceError, NotApplicableError
from arbench.testing.tiny import TINY_EVENTS, TinyEvents

_NUM_SAMPLES = 5000
_NUM_SETTINGS = 4
_SCALES = (0.0, 1.0, 3.0)
# Log-scales of real dims shrink with their parameter, and an integral has to resolve them.
_REAL_SCALES = (0.0, 0.5)
_LARGEST_UNIFORM = 1 - 2.0**-53


@dataclass(frozen=True, eq=False)
class HeadSubject:
    """One head on one layout.

    Attributes:
        head: in the test.
        tiny: the events that its layout is of.
        is_site: whether it is the head of one site of a mixed layout: its values are floating point
            and some of its parameters are there for other sites alone.
    """

    head: Head
    tiny: TinyEvents
    is_site: bool = False

    def settings(self) -> list[Tensor]:
        """Parameters `(P,)` float64: zeros, and normal numbers of growing size."""
        found = []
        for scale in _REAL_SCALES if self.tiny.is_real else _SCALES:
            for seed in range(_NUM_SETTINGS if scale else 1):
                generator = torch.Generator().manual_seed(seed)
                normal = torch.randn(self.head.num_params, generator=generator)
                found.append(scale * normal.double())
        return found

    def values(self) -> Tensor:
        """All site values, `(N, site_dim)` int64; the points of a grid, float64, if real."""
        if self.tiny.is_real:
            return real_grid()[0][:, None]
        dims = self.head.layout.site_dim
        return torch.tensor(list(itertools.product(self.tiny.values, repeat=dims)))

    def masses(self, params: Tensor) -> Tensor:
        """Probabilities of all site values, or of the intervals of a real one, and of the rest."""
        values = self.values()
        log_probs = self.head.log_prob(params.expand(len(values), -1), values)
        if log_probs.shape != (len(values),) or log_probs.dtype != params.dtype:
            raise ConformanceError(
                f"log_prob of {len(values)} values has shape {tuple(log_probs.shape)} and "
                f"{log_probs.dtype}, expected ({len(values)},) and {params.dtype}"
            )
        if not self.tiny.is_real:
            return log_probs.exp()
        _, log_widths, num_cells = real_grid()
        return (log_probs + log_widths).exp().view(num_cells, -1).sum(1)

    def noise(self, num: int) -> Tensor:
        """Uniform numbers `(num, U)` float64."""
        generator = torch.Generator().manual_seed(num)
        return torch.rand(num, self.head.num_uniforms, generator=generator, dtype=torch.float64)

    def require_valid(self, values: Tensor, num: int) -> None:
        """Raise unless these are `(num, site_dim)` site values of the right type and range."""
        dtype = torch.float64 if self.tiny.is_real or self.is_site else torch.int64
        expected = (num, self.head.layout.site_dim)
        if tuple(values.shape) != expected or values.dtype != dtype:
            raise ConformanceError(
                f"samples have shape {tuple(values.shape)} and {values.dtype}, expected "
                f"(B, site_dim) = {expected} and {dtype}"
            )
        inside = values.isfinite() if self.tiny.is_real else (values >= 0)
        if not self.tiny.is_real:
            inside &= values < len(self.tiny.values)
        if not bool(inside.all()):
            raise ConformanceError(f"a sample is {values[~inside][0].item()}")


def check_normalised(subject: HeadSubject) -> None:
    """Probabilities of all site values sum to 1 within 1e-9; a density integrates to it in 1e-6.

    Raises:
        ConformanceError: with the sum.
    """
    for params in subject.settings():
        total = subject.masses(params).sum().item()
        if not abs(total - 1) <= (1e-6 if subject.tiny.is_real else 1e-9):
            raise ConformanceError(
                f"the probabilities of all values of a site sum to {total:.10g}, not to 1"
            )


def check_samples(subject: HeadSubject) -> None:
    """Samples follow `log_prob`; those at the ends of the noise are possible too.

    Raises:
        ConformanceError: with the value whose frequency differs most, or what is impossible.
    """
    head, dims = subject.head, subject.head.layout.site_dim
    for params in subject.settings():
        drawn = head.sample(params.expand(_NUM_SAMPLES, -1), subject.noise(_NUM_SAMPLES))
        subject.require_valid(drawn, _NUM_SAMPLES)
        masses = subject.masses(params)
        if subject.tiny.is_real:
            masses = torch.cat((masses, 1 - masses.sum().reshape(1)))
            numbers = interval_numbers(drawn[:, 0])
        else:
            powers = len(subject.tiny.values) ** torch.arange(dims - 1, -1, -1)
            numbers = (drawn.long() * powers).sum(1)
        found = torch.bincount(numbers, minlength=len(masses))
        require_likely(found, masses, lambda n: _name(subject, n))
        for end in (0.0, _LARGEST_UNIFORM):
            extreme = torch.full((1, head.num_uniforms), end, dtype=torch.float64)
            value = head.sample(params[None], extreme)
            subject.require_valid(value, 1)
            if not bool(head.log_prob(params[None], value).isfinite().all()):
                raise ConformanceError(
                    f"for uniforms of {end} the sample is {value[0].tolist()}, which is impossible"
                )


def check_prepare(subject: HeadSubject) -> None:
    """Preparing the noise of all sites at once is preparing that of each, and keeps its shape.

    Raises:
        ConformanceError: with what differs.
    """
    noise = subject.noise(12).view(4, 3, -1)
    together = subject.head.prepare(noise)
    if together.shape != noise.shape or together.dtype != noise.dtype:
        raise ConformanceError(
            f"prepared noise has shape {tuple(together.shape)} and {together.dtype}, expected "
            f"{tuple(noise.shape)} and {noise.dtype}"
        )
    if not torch.equal(together[:, 1], subject.head.prepare(noise[:, 1])):
        raise ConformanceError("preparing the noise of a site depends on that of other sites")


def check_value_log_probs(subject: HeadSubject) -> None:
    """`value_log_probs` is what `log_prob` says of every value of a dim.

    Raises:
        ConformanceError: with the value and both log-probabilities.
    """
    if subject.tiny.is_real:  # no such list
        return
    head, values = subject.head, subject.values()
    for params in subject.settings():
        every = params.expand(len(values), -1)
        expected = head.log_prob(every, values)
        for dim in range(head.layout.site_dim):
            listed = head.value_log_probs(every, values, dim)
            shape = (len(values), len(subject.tiny.values))
            if tuple(listed.shape) != shape:
                raise ConformanceError(
                    f"value_log_probs has shape {tuple(listed.shape)}, expected {shape}"
                )
            own = listed.take_along_dim(values[:, dim, None], -1).squeeze(-1)
            wrong = ~torch.isclose(own, expected, rtol=0, atol=1e-9, equal_nan=True)
            if bool(wrong.any()):
                worst = int(wrong.nonzero()[0])
                raise ConformanceError(
                    f"value_log_probs says {own[worst].item():.6g} of the value "
                    f"{_name(subject, worst)}, and log_prob {expected[worst].item():.6g}"
                )


def check_next_log_probs(subject: HeadSubject) -> None:
    """`next_log_probs` is what `log_prob` leaves to a dim when the dims after it are summed out.

    A head that does not say so for sites of several dims is not asked.

    Raises:
        ConformanceError: with the dim, what stands before it and both log-probabilities.
    """
    head, dims = subject.head, subject.head.layout.site_dim
    if subject.tiny.is_real:
        return
    if dims > 1 and type(head).next_log_probs is Head.next_log_probs:
        return
    values, size = subject.values(), len(subject.tiny.values)
    for params in subject.settings():
        joint = head.log_prob(params.expand(len(values), -1), values)
        for dim in range(dims):
            expected = joint.view(-1, size, size ** (dims - dim - 1)).logsumexp(-1).log_softmax(-1)
            before = values[:: size ** (dims - dim), :dim]
            listed = head.next_log_probs(params.expand(len(before), -1), before)
            if listed.shape != expected.shape:
                raise ConformanceError(
                    f"next_log_probs has shape {tuple(listed.shape)}, expected "
                    f"{tuple(expected.shape)}"
                )
            wrong = ~torch.isclose(listed, expected, rtol=0, atol=1e-9, equal_nan=True)
            if bool(wrong.any()):
                row, value = wrong.nonzero()[0].tolist()
                raise ConformanceError(
                    f"next_log_probs says {listed[row, value].item():.6g} of the value {value} "
                    f"after {before[row].tolist()}, and log_prob leaves it "
                    f"{expected[row, value].item():.6g}"
                )


def check_gradients(subject: HeadSubject) -> None:
    """Every parameter has a gradient, also where parameters are huge, and all are finite.

    Raises:
        ConformanceError: with the number of the parameter.
    """
    values = subject.values()
    values = values[:: max(1, len(values) // 200)]
    reached = torch.zeros(subject.head.num_params, dtype=torch.bool)
    for scale, dtype in itertools.product((1.0, 50.0), (torch.float32, torch.float64)):
        generator = torch.Generator().manual_seed(20)
        shape = (len(values), subject.head.num_params)
        params = (scale * torch.randn(shape, generator=generator)).to(dtype).requires_grad_()
        inputs = values.clamp(-50, 50).to(dtype) if subject.tiny.is_real else values
        log_probs = subject.head.log_prob(params, inputs)
        (grad,) = torch.autograd.grad(log_probs.sum(), params)
        if not bool(log_probs.isfinite().all() and grad.isfinite().all()):
            raise ConformanceError(
                f"log_prob or its gradient is not finite for {dtype} parameters of size {scale:g}"
            )
        reached |= (grad != 0).any(0)
    if not (subject.is_site or bool(reached.all())):
        raise ConformanceError(f"nothing depends on parameter {int((~reached).nonzero()[0])}")


HEAD_CHECKS: dict[str, Callable[[HeadSubject], None]] = {
    "normalised": check_normalised,
    "samples": check_samples,
    "prepare": check_prepare,
    "value_log_probs": check_value_log_probs,
    "next_log_probs": check_next_log_probs,
    "gradients": check_gradients,
}


def head_subjects(
    head_class: Callable[..., Head], *, options: Mapping[str, Any] | None = None
) -> dict[str, HeadSubject]:
    """The head on every kind of tiny events that it can describe, by name.

    Args:
        head_class: called with a layout; a ValueError says that it cannot describe it.
        options: keyword arguments of the head.

    Raises:
        NotApplicableError: if it describes none of them.
    """
    found: dict[str, HeadSubject] = {}
    refusal = ""
    for name, tiny in TINY_EVENTS.items():
        layout: Layout = tiny.layout()
        try:
            head = head_class(layout, **(options or {}))
        except ValueError as error:
            refusal = str(error)
            continue
        if not isinstance(layout.domain, Mixed):
            found[name] = HeadSubject(head, tiny)
            continue
        for site, domain in enumerate(layout.domain.dims):
            column = TinyEvents(EventSpec((1,), domain))
            found[f"{name} site {site}"] = HeadSubject(head.at(site), column, is_site=True)
    if not found:
        raise NotApplicableError(f"the head refuses every tiny event: {refusal}")
    return found


def _name(subject: HeadSubject, number: int) -> str:
    if subject.tiny.is_real:
        return interval_name(number)
    return str(subject.values()[number].tolist())
