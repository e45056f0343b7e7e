"""Wrong features as found in the wild, each refused by the check of them."""

# The contract of each method is that of the class it breaks.

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from arbench.probability.layouts import Layout
from arbench.testing.conformance import checks_for, run_check, subjects
from arbench.testing.tiny import TINY_EVENTS
from arbench.testing.toys import LinearNetwork


class Sees(LinearNetwork):
    """Features are random linear maps of the values."""

    def __init__(self, layout: Layout, num_params: int) -> None:
        super().__init__(layout, num_params)
        self.look = nn.Linear(layout.num_sites * layout.site_dim, 7)

    def features(self, sites: Tensor) -> Tensor:
        features: Tensor = self.look(sites.flatten(1).to(self.look.weight.dtype))
        return features


class Blank(Sees):
    """The parameters of the first site, which nothing moves."""

    def features(self, sites: Tensor) -> Tensor:
        return self(sites)[:, 0]


class PerSite(Sees):
    """A vector for each site."""

    def features(self, sites: Tensor) -> Tensor:
        return super().features(sites).unsqueeze(1)


class OneForAll(Sees):
    """The mean over the batch too."""

    def features(self, sites: Tensor) -> Tensor:
        return super().features(sites).mean(0, keepdim=True)


class Counts(Sees):
    """Whole numbers."""

    def features(self, sites: Tensor) -> Tensor:
        return super().features(sites).long()


class Rounded(Sees):
    """Casts to save memory."""

    def features(self, sites: Tensor) -> Tensor:
        return super().features(sites).float()


class Centred(Sees):
    """Takes the mean of the batch away."""

    def features(self, sites: Tensor) -> Tensor:
        features = super().features(sites)
        return features - features.mean(0)


class Ranked(Sees):
    """Adds to each event its place in the batch."""

    def features(self, sites: Tensor) -> Tensor:
        return super().features(sites) + torch.arange(len(sites))[:, None]


class Noisy(Sees):
    """Drops units, whatever the mode."""

    def features(self, sites: Tensor) -> Tensor:
        return nn.functional.dropout(super().features(sites), 0.5)


class Remembers(Sees):
    """Counts how often it was asked, in its weights."""

    @torch.no_grad()
    def features(self, sites: Tensor) -> Tensor:
        features = super().features(sites)
        self.bias += 1
        return features


class NeverDefined(Sees):
    """Divides by a unit that is off."""

    def features(self, sites: Tensor) -> Tensor:
        features = super().features(sites)
        return features / (features - features)


CASES = [
    (Blank, "random events have the same features"),
    (PerSite, "features returned (32, 1, 7)"),
    (OneForAll, "features returned (1, 7)"),
    (Counts, "torch.int64, expected floating-point (B, H)"),
    (Rounded, "features are torch.float32, and the weights are float64"),
    (Centred, "looking at events one at a time changes a feature"),
    (Ranked, "the order of events in the batch changes a feature"),
    (Noisy, "asking for features a second time changes a feature"),
    (Remembers, "asking for features changes log-probabilities"),
    (NeverDefined, "a feature is not finite on ordinary events"),
]


@pytest.mark.parametrize(("network", "evidence"), CASES)
def test_broken_features_are_refused_by_name(network: type[nn.Module], evidence: str) -> None:
    (_, subject), *_ = subjects(network, specs={"b": TINY_EVENTS["binary-2x3"]}).items()
    result = run_check("features", "b", subject)
    assert result.status == "failed"
    assert evidence in result.message


def test_right_ones_pass_and_nobody_has_to_offer_any() -> None:
    results = [run_check("features", name, subject) for name, subject in subjects(Sees).items()]
    assert {result.status for result in results} == {"passed", "not applicable"}
    assert "features" not in checks_for(LinearNetwork)
