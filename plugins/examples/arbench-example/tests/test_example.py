"""The chain keeps every promise, and the clock is what it says."""

from __future__ import annotations

import math

import pytest
import torch
from arbench_example.network import Chain
from arbench_example.task import LENGTH, NUM_HOURS, STANDS_STILL, Clock

from arbench import SPLITS, main
from arbench.testing import conformance

test_chain = conformance(Chain)


def test_no_event_is_in_two_splits() -> None:
    train, validation, test = (Clock().load(split) for split in SPLITS)
    assert test.num_events_also_in(train) == test.num_events_also_in(validation) == 0
    assert validation.num_events_also_in(train) == 0


def test_the_clock_surprises_as_much_as_its_entropy_says() -> None:
    events = Clock().load("train").events
    Clock.spec.validate(events)
    log_probs = Clock().true_log_prob(events)
    p = STANDS_STILL
    step_nats = -(p * math.log(p) + (1 - p) * math.log(1 - p))
    entropy_nats = math.log(NUM_HOURS) + (LENGTH - 1) * step_nats
    standard_error = log_probs.std() / math.sqrt(len(events))
    assert abs(-log_probs.mean() - entropy_nats) < 4 * standard_error


def test_a_clock_never_skips_an_hour() -> None:
    skipped = torch.arange(LENGTH)[None] * 2 % NUM_HOURS
    assert Clock().true_log_prob(skipped).item() == -math.inf


def test_perplexity_takes_whatever_names_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["perplexity", "mnist-mini/nade"]) == 0
    assert 1 < float(capsys.readouterr().out) < 2
    assert main(["perplexity", "nosuch"]) == 2
    assert "nosuch" in capsys.readouterr().err
