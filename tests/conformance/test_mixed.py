"""Families on rows whose dims differ: some carry them, and all others say that they do not."""

from __future__ import annotations

import pytest

from arbench.registry.manager import registry
from arbench.testing.conformance import subjects
from arbench.testing.subject import NotApplicableError
from arbench.testing.tiny import TINY_EVENTS

CARRIED = {
    *("nade", "made", "rnade", "gpt", "rnn", "lstm", "gru", "mingru"),
    *("gated-deltanet", "mamba2", "s4d", "wavenet"),
}


@pytest.mark.parametrize("model", registry().models)
def test_every_family_carries_mixed_rows_or_refuses_them(model: str) -> None:
    network_class = registry().models[model].load()
    (subject, *_) = subjects(network_class, specs={"mixed": TINY_EVENTS["mixed-4"]}).values()
    if model in CARRIED:
        events = subject.random_events(5, seed=0)
        assert bool(subject.fresh().log_prob(events).isfinite().all())
        return
    with pytest.raises(NotApplicableError, match="mixed|raster|pixel|binary"):
        subject.fresh()
