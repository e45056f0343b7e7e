"""Completions are samples of the true conditional, for models and for ensembles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from brute_force import (
    LAYOUTS,
    Dropping,
    chi_square_p,
    conditional,
    counts,
    known_prefix,
    table_log_probs,
    table_model,
)

from arbench.probability.ensemble import Ensemble
from arbench.probability.heads import Bernoulli
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing.toys import TINY_SPECS, all_events

SPEC = TINY_SPECS["binary-2x3"]


def two_orders() -> list[Model]:
    """Members that draw the first row first, each in its own order, and disagree about it."""
    orders = ([0, 1, 2, 3, 4, 5], [2, 0, 1, 5, 3, 4])
    layouts = [Layout(SPEC, order=order) for order in orders]
    return [table_model(layout, seed=i, scale=2.5) for i, layout in enumerate(layouts)]


def first_row() -> torch.Tensor:
    known = torch.zeros(SPEC.shape, dtype=torch.bool)
    known[:, 0] = True
    return known


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_completion_follows_the_conditional(layout: Layout) -> None:
    model = table_model(layout)
    known = known_prefix(layout, layout.num_sites // 2)
    given = all_events(layout.spec)[len(all_events(layout.spec)) // 3]
    generator = torch.Generator().manual_seed(0)
    drawn = model.sample(5000, generator=generator, given=given, known=known)
    probs = conditional(table_log_probs(model), layout.spec, given, known)
    assert chi_square_p(counts(drawn, layout.spec), probs) > 1e-4


@pytest.mark.parametrize("row", [[0, 0, 0], [1, 0, 1], [0, 1, 1]])
def test_ensemble_completion_follows_the_mixtures_conditional(row: list[int]) -> None:
    models = two_orders()
    given = torch.zeros(SPEC.shape, dtype=torch.int64)
    given[0, 0] = torch.tensor(row)
    generator = torch.Generator().manual_seed(1)
    drawn = Ensemble(models).sample(8000, generator=generator, given=given, known=first_row())
    log_probs = np.logaddexp(*(table_log_probs(m) for m in models))
    probs = conditional(log_probs, SPEC, given, first_row())
    assert chi_square_p(counts(drawn, SPEC), probs) > 1e-4


def test_members_drawn_uniformly_would_be_wrong() -> None:
    """The mixture of the members' conditionals, each with weight 1/M, is another distribution."""
    models = two_orders()
    given = torch.zeros(SPEC.shape, dtype=torch.int64)
    tables = [table_log_probs(m) for m in models]
    generator = torch.Generator().manual_seed(1)
    drawn = Ensemble(models).sample(8000, generator=generator, given=given, known=first_row())
    uniform = np.mean([conditional(t, SPEC, given, first_row()) for t in tables], axis=0)
    assert chi_square_p(counts(drawn, SPEC), uniform) < 1e-6


def test_every_event_of_a_batch_is_completed_from_its_own_values() -> None:
    given = all_events(SPEC)
    for density in (two_orders()[0], Ensemble(two_orders())):
        drawn = density.sample(len(given), given=given, known=first_row())
        assert torch.equal(drawn[:, first_row()], given[:, first_row()])


def test_unknown_values_do_not_matter() -> None:
    given = all_events(SPEC)[[5, 40]]
    garbage = given.float().masked_fill(~first_row(), torch.nan)
    for density in (two_orders()[0], Ensemble(two_orders())):
        noise = density.draw_noise(2, torch.Generator().manual_seed(2))
        clean = density.sample(2, noise=noise, given=given, known=first_row())
        dirty = density.sample(2, noise=noise, given=garbage, known=first_row())
        assert torch.equal(clean, dirty)


def test_members_are_weighed_with_dropout_off() -> None:
    layouts = [Layout(SPEC), Layout(SPEC, order=[1, 0, 2, 3, 4, 5])]
    models = [Model(Dropping(layout), Bernoulli(layout), layout).double() for layout in layouts]
    ensemble = Ensemble(models).eval()
    given = all_events(SPEC).repeat(10, 1, 1, 1)
    noise = ensemble.draw_noise(len(given), torch.Generator().manual_seed(3))
    expected = ensemble.sample(len(given), noise=noise, given=given, known=first_row())
    ensemble.train()
    found = ensemble.sample(len(given), noise=noise, given=given, known=first_row())
    assert torch.equal(found, expected)
    assert all(m.training for m in ensemble.modules())


@pytest.mark.parametrize("as_ensemble", [False, True])
def test_what_cannot_be_completed_is_refused(as_ensemble: bool) -> None:
    density = Ensemble(two_orders()) if as_ensemble else two_orders()[0]
    given = torch.zeros(4, *SPEC.shape)
    with pytest.raises(ValueError, match="not a prefix in the model's order"):
        density.sample(4, given=given, known=~first_row())
    with pytest.raises(ValueError, match="a completion needs both"):
        density.sample(4, given=given)
    with pytest.raises(ValueError, match="a completion needs both"):
        density.sample(4, known=first_row())
    with pytest.raises(ValueError, match="4 samples need as many given events, got 3"):
        density.sample(4, given=given[:3], known=first_row())
    with pytest.raises(ValueError, match=r"event 0, dim 0: found 2.0, expected integers in \[0, 2"):
        density.sample(4, given=given + 2, known=first_row())


def test_a_prefix_of_one_member_alone_is_refused() -> None:
    known = torch.zeros(SPEC.shape, dtype=torch.bool)
    known[0, 0, 0] = True
    given = torch.zeros(SPEC.shape)
    two_orders()[0].sample(2, given=given, known=known)
    with pytest.raises(ValueError, match="not a prefix"):
        Ensemble(two_orders()).sample(2, given=given, known=known)
