"""Checks that `step` equals `forward`, and that all samplers agree."""

from __future__ import annotations

import torch
from torch import Tensor

from arbench.errors import PluginError
from arbench.probability.model import Model
from arbench.probability.promises import STEP_ERROR, step_differences
from arbench.testing.subject import ConformanceError, NotApplicableError, Subject, site_params

_NUM_EVENTS = 64
# Discrete samples are equal; real ones carry the rounding of every site before them.
_REAL_ERROR = 1e-8


def check_step_equals_forward(subject: Subject) -> None:
    """`step`, fed an event site by site, gives the parameters of `forward`, in every batch.

    Raises:
        ConformanceError: with the site and the difference.
        NotApplicableError: if the network has no `step`.
    """
    model = subject.sharpened()
    if "step" not in model.samplers:
        raise NotApplicableError("the network has no step")
    # A state that leaks from one batch into the next shows in the second or the third.
    for seed, num_events in ((5, _NUM_EVENTS), (6, _NUM_EVENTS), (7, 1)):
        events = subject.random_events(num_events, seed)
        sites = model.layout.to_sites(events)
        expected = site_params(model, events)
        allowed = STEP_ERROR * max(1.0, expected.abs().max().item())
        try:
            with torch.no_grad():
                for t, error in enumerate(step_differences(model.network, sites, expected)):
                    if not error <= allowed:
                        which = "first batch" if seed == 5 else "batch after another one"
                        raise ConformanceError(
                            f"step differs from forward by {error:.2g} at site {t}, in the {which}"
                        )
        except PluginError as error:
            raise ConformanceError(str(error)) from error
        require_prefill_equals_steps(model, sites, expected, allowed)


@torch.no_grad()
def require_prefill_equals_steps(
    model: Model, sites: Tensor, expected: Tensor, allowed: float
) -> None:
    """A step after a prefix that was read at once gives the parameters of `forward`.

    Raises:
        ConformanceError: with the length of the prefix and the difference.
    """
    if not hasattr(model.network, "prefill"):
        return
    for num_given in range(1, model.layout.num_sites):
        state = model.network.init_state(len(sites))
        state = model.network.prefill(state, sites[:, :num_given])
        for t in range(num_given, min(num_given + 2, model.layout.num_sites)):
            params, state = model.network.step(state, sites[:, t - 1], t)
            error = (params - expected[:, t]).abs().max().item()
            if not error <= allowed:
                raise ConformanceError(
                    f"step differs from forward by {error:.2g} at site {t}, after a prefix of "
                    f"{num_given} sites read by prefill"
                )


def check_samplers_agree(subject: Subject) -> None:
    """Every sampler turns equal noise into equal samples, with and without a given prefix.

    Real ones up to rounding.

    Raises:
        ConformanceError: with the sampler and the first site that differs.
    """
    require_samplers_agree(subject.sharpened(), subject)


def require_samplers_agree(model: Model, subject: Subject) -> None:
    """`check_samplers_agree` for a given model of the subject's events, in whatever order."""
    layout = model.layout
    noise = model.draw_noise(_NUM_EVENTS, torch.Generator().manual_seed(8))
    given = subject.random_events(_NUM_EVENTS, seed=9)
    for num_given in (0, layout.num_sites // 2):
        known = torch.zeros(layout.num_sites, layout.site_dim, dtype=torch.bool)
        known[:num_given] = True
        samples = {
            method: layout.to_sites(
                model.sample(
                    _NUM_EVENTS,
                    noise=noise,
                    method=method,
                    given=given,
                    known=layout.to_events(known[None])[0],
                )
            )
            for method in model.samplers
        }
        for method, drawn in samples.items():
            whole = samples["whole"]
            allowed = _REAL_ERROR * (1 + whole.abs()) if subject.tiny.is_real else 0
            differs = ((drawn - whole).abs() > allowed).any(-1)
            if bool(differs.any()):
                site = int(differs.any(0).nonzero()[0])
                raise ConformanceError(
                    f"the {method} sampler differs from the whole-forward one for equal noise in "
                    f"{int(differs.any(1).sum())} of {_NUM_EVENTS} samples, from site {site} on, "
                    f"with {num_given} sites given"
                )
