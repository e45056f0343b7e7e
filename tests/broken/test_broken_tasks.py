"""Wrong tasks as found in the wild, each refused by the check that is meant for it."""

# The contract of each method is that of the class it breaks.

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from arbench.data.labels import Labels
from arbench.data.sources import SourceFile
from arbench.data.tasks import Split, SplitName, Task
from arbench.probability.events import Discrete, EventSpec
from arbench.testing.suites import task_suite

PLACES = {"train": slice(600), "validation": slice(600, 800), "test": slice(800, None)}


class Right(Task):
    """1,200 different words of 12 bits, in an order that a seed says."""

    name = "right"
    version = "1"
    spec = EventSpec((12,), Discrete(2))

    def numbers(self) -> Tensor:
        return torch.randperm(4096, generator=torch.Generator().manual_seed(0))[:1200]

    def events(self) -> Tensor:
        return (self.numbers()[:, None] >> torch.arange(12) & 1).to(torch.uint8)

    def load(self, split: SplitName) -> Split:
        return Split(self.events()[PLACES[split]])


class OverlappingSplits(Right):
    """Test was cut from the data before train was: they share rows."""

    def load(self, split: SplitName) -> Split:
        return Split(self.events()[700:900]) if split == "test" else super().load(split)


class CountsWrongly(Right):
    """States repetitions that are not there."""

    shared_events: ClassVar = {("test", "train"): 7}


class Uncounted(OverlappingSplits):
    """Nobody has counted what its data repeat: neither right nor wrong."""

    shared_events = None


class Unseeded(Right):
    """Shuffles by the global generator."""

    def numbers(self) -> Tensor:
        return torch.randperm(4096)[:1200]


class GreyLevels(Right):
    """The spec says bits; test still holds 255 for ink."""

    def load(self, split: SplitName) -> Split:
        events = super().load(split).events
        return Split(events * 255 if split == "test" else events)


class Floats(Right):
    """Bits as floating-point numbers."""

    def events(self) -> Tensor:
        return super().events().float()


class Empty(Right):
    """A split that nobody filled."""

    def load(self, split: SplitName) -> Split:
        return Split(super().load(split).events[:0])


class Unpinned(Right):
    """Says it is pinned, and states no hash."""

    files = (SourceFile(path="bits.npz", urls=("https://example.org/bits.npz",), sha256=None),)


class Padded(Right):
    """Words of 1 to 12 bits: what follows the last is not scored."""

    def lengths(self, num_events: int) -> Tensor:
        return 1 + torch.arange(num_events) % 12

    def load(self, split: SplitName) -> Split:
        events = super().load(split).events
        return Split(events, torch.arange(12) < self.lengths(len(events))[:, None])


class PaddedInFront(Padded):
    """The padding stands before the words, as decoders like it: every bit sees it."""

    def load(self, split: SplitName) -> Split:
        split_ = super().load(split)
        return Split(split_.events, split_.scored.flip(1))  # type: ignore[union-attr]


class NothingScored(Padded):
    """Counts from 0: some words have no bit that counts."""

    def lengths(self, num_events: int) -> Tensor:
        return super().lengths(num_events) - 1


class Flipped(Right):
    """Every epoch sees some bits flipped."""

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        return events ^ (torch.rand(events.shape, generator=generator) < 0.1)


class FlippedByChance(Flipped):
    """Forgets to hand the generator on."""

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        return events ^ (torch.rand(events.shape) < 0.1)


class FlippedOnce(Flipped):
    """A view with a seed of its own: every epoch is the same."""

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        return super().training_view(events, torch.Generator().manual_seed(0))


class FlippedInPlace(Flipped):
    """Writes into the stored events, so that flips add up."""

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        return events.copy_(super().training_view(events, generator))


class Probabilities(Flipped):
    """Leaves its domain: the view holds probabilities of bits."""

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        return events * torch.rand(events.shape, generator=generator)


class Labelled(Right):
    """Every word is odd or even."""

    def load_labels(self, split: SplitName) -> Labels:
        return Labels(self.load(split).events[:, 0].long(), ("even", "odd"))


class LabelsOfTrain(Labelled):
    """One file of labels, and nobody cuts it."""

    def load_labels(self, split: SplitName) -> Labels:
        return super().load_labels("train")


class LabelsOfAnotherOrder(Labelled):
    """The words are shuffled with a seed, the labels without one."""

    def load_labels(self, split: SplitName) -> Labels:
        labels = super().load_labels(split)
        return Labels(labels.values[torch.randperm(len(labels))], labels.names)


class NamesByPlace(Labelled):
    """Names are given as they come: in test, odd comes first."""

    def load_labels(self, split: SplitName) -> Labels:
        labels = super().load_labels(split)
        return Labels(labels.values, labels.names[::-1]) if split == "test" else labels


class Coins(Right):
    """Bits that are 1 with probability 0.2, all independent; they do repeat."""

    probability = 0.2

    def events(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return (torch.rand(1200, 12, generator=generator) < self.probability).to(torch.uint8)

    def true_log_prob(self, events: Tensor) -> Tensor:
        ones = events.double().sum(1)
        return ones * math.log(0.2) + (12 - ones) * math.log(0.8)


class ForgottenZeros(Coins):
    """The true density forgets that a 0 costs something too."""

    def true_log_prob(self, events: Tensor) -> Tensor:
        return events.double().sum(1) * math.log(0.2)


class OtherCoins(Coins):
    """The data are drawn with another probability than the density says."""

    probability = 0.3


class RoundedTruth(Coins):
    """The true density in single precision."""

    def true_log_prob(self, events: Tensor) -> Tensor:
        return super().true_log_prob(events).float()


class Windows(Right):
    """Two words in a row are of one recording."""

    group = "recording"

    def load(self, split: SplitName) -> Split:
        events = super().load(split).events
        return Split(events, groups=torch.arange(len(events)) // 2)


class WordWithoutGroups(Windows):
    """Says that recordings are independent, and not which events are of one."""

    def load(self, split: SplitName) -> Split:
        return Split(super().load(split).events)


class GroupsWithoutWord(Windows):
    """Has groups, and a record would say that events are independent."""

    group = "event"


class OneRecording(Windows):
    """The test split is one recording, of which nobody knows how far others are."""

    def load(self, split: SplitName) -> Split:
        events = super().load(split).events
        return Split(events, groups=torch.zeros(len(events), dtype=torch.int64))


# The task, its repaired twin, the check, and what it must say.
CASES: list[tuple[type[Task], type[Task], str, str]] = [
    (OverlappingSplits, Right, "splits_disjoint", "100 of the 200 test events are also in valid"),
    (CountsWrongly, Right, "splits_disjoint", "0 of the 400 test events are also in train, where"),
    (Unseeded, Right, "deterministic", "two loads differ: the events hash to"),
    (GreyLevels, Right, "spec", "found 255"),
    (Floats, Right, "spec", "the train split holds torch.float32"),
    (Empty, Right, "spec", "the train split has no events"),
    (Unpinned, Right, "hashes", "bits.npz has no sha256"),
    (PaddedInFront, Padded, "padding_last", "dim 10 is padding and dim 11 is scored"),
    (NothingScored, Padded, "padding_last", "train event 0 has no scored dim"),
    (FlippedByChance, Flipped, "training_view", "equal generators make different"),
    (FlippedOnce, Flipped, "training_view", "different generators make equal"),
    (FlippedInPlace, Flipped, "training_view", "changes the stored events in place"),
    (Probabilities, Flipped, "training_view", "does not keep the task's spec"),
    (WordWithoutGroups, Windows, "groups", "the validation split has no groups, and the task's"),
    (GroupsWithoutWord, Windows, "groups", "has 100 groups, and the task's group is 'event'"),
    (OneRecording, Windows, "groups", "all 200 validation events are one recording"),
    (LabelsOfTrain, Labelled, "labels", "validation has 200 events, and 600 labels"),
    (LabelsOfAnotherOrder, Labelled, "labels", "two loads of the labels of train differ"),
    (NamesByPlace, Labelled, "labels", "of test ('odd', 'even')"),
    (ForgottenZeros, Coins, "true_log_prob", "the true probabilities of all 4096 events sum to"),
    (OtherCoins, Coins, "true_log_prob", "the balance is off by"),
    (RoundedTruth, Coins, "true_log_prob", "torch.float32, expected (B,) and torch.float64"),
]


@pytest.mark.parametrize(
    ("task", "check", "evidence"),
    [(task, check, evidence) for task, _, check, evidence in CASES],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_broken_task_is_refused_by_name(task: type[Task], check: str, evidence: str) -> None:
    results = [trial.run() for trial in task_suite(task).trials()]
    refused = {result.check: result.message for result in results if result.status == "failed"}
    assert evidence in refused[check]


@pytest.mark.parametrize(("task", "check"), {(twin, check): None for _, twin, check, _ in CASES})
def test_repaired_twin_passes_the_same_check(task: type[Task], check: str) -> None:
    (trial,) = task_suite(task).trials((check,))
    result = trial.run()
    assert result.status == "passed" or (check, result.message) == (
        "hashes",
        "the task has no source files",
    )


def test_a_declared_failure_shows_with_its_reason() -> None:
    class Meant(OverlappingSplits):
        known_failures: ClassVar = {"splits_disjoint": "the lecture does so"}

    (trial,) = task_suite(Meant).trials(("splits_disjoint",))
    result = trial.run()
    assert result.status == "declared"
    assert result.message.endswith("(declared: the lecture does so)")


def test_what_nobody_has_counted_is_counted_and_not_judged() -> None:
    (trial,) = task_suite(Uncounted).trials(("splits_disjoint",))
    result = trial.run()
    assert result.status == "not applicable"
    assert "100 of test in validation: state it in `shared_events`" in result.message
