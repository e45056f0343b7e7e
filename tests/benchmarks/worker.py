"""Does what it is told, a line at a time, and says how long that took: one side of a comparison.

Runs with the arbench of its own environment: today's, or that of the baseline, whose modules have
other places. Each line on standard input is JSON: a case's name, "arbench" or a peer's name, and
how often. Each answer is seconds per call: of CPU time, and of the clock.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import CASES, ONES, Case
from torch import Tensor, nn

IS_TODAY = find_spec("arbench.data") is not None
STREAMS_THEN, TASKS_THEN = "arbench.experiment.streams", "arbench.experiment.tasks"
DIGITS = Path(__file__).parents[2] / "tasks" / "arbench_mnist" / "data" / "mnist-mini.bits"
VOCABULARY, LENGTH = 65, 256


def model_of(case: Case) -> Any:
    """The case's model, untrained, with the digits' share of ones in its samples."""
    from arbench.probability.events import Discrete, EventSpec
    from arbench.probability.heads import natural_head
    from arbench.probability.layouts import Layout
    from arbench.probability.model import Model

    family = case.of
    module, name = family.network
    layout = Layout(EventSpec(family.shape, Discrete(family.num_values)))
    head = natural_head(layout)
    torch.manual_seed(0)
    network = getattr(importlib.import_module(module), name)(
        layout, head.num_params, **family.settings
    )
    if family.bias is not None:
        nn.init.constant_(network.get_parameter(family.bias), math.log(ONES / (1 - ONES)))
    return Model(network, head, layout)


def split_of(case: Case) -> Any:
    """Digits, or windows of a text of which the last symbols are scored.

    The first window of a text, of which all are scored, is one of thousands, and left out.
    """
    tasks = importlib.import_module("arbench.data.tasks" if IS_TODAY else TASKS_THEN)
    if case.stride is None:
        return tasks.Split(events_of(case))
    streams = importlib.import_module("arbench.data.streams" if IS_TODAY else STREAMS_THEN)
    length = case.of.num_sites + case.batch * case.stride
    symbols = torch.randint(case.of.num_values, (length,))
    windows = streams.overlapping_windows(symbols, case.of.num_sites, case.stride)
    return tasks.Split(windows.events[1:], windows.scored[1:])


def events_of(case: Case) -> Tensor:
    """A batch of events."""
    if case.of.units != "images":
        return torch.randint(case.of.num_values, (case.batch, *case.of.shape))
    packed = np.fromfile(DIGITS, np.uint8).reshape(5000, -1)
    chosen = np.linspace(0, len(packed) - 1, case.batch).astype(int)  # they lie there by class
    pixels = np.unpackbits(packed[chosen], axis=1)
    return torch.from_numpy(pixels).reshape(-1, *case.of.shape)


def sampling(case: Case) -> Callable[[], object]:
    """Samples by the default sampler."""
    model = model_of(case).eval()
    return lambda: model.sample(case.batch)


def evaluating(case: Case) -> Callable[[], object]:
    """The log-probabilities of a split, in batches that the code itself chooses."""
    then = "arbench.experiment.evaluation"
    module = importlib.import_module("arbench.measure.likelihood" if IS_TODAY else then)
    model, split = model_of(case), split_of(case)
    return lambda: module.evaluate_log_probs(model, split)


def training(case: Case) -> Callable[[], object]:
    """One step of training: the loss, its gradient and norm, and Adam, as the trainer does it."""
    model, events = model_of(case).train(), events_of(case)
    weights, num_dims = torch.ones(len(events)), events.numel()
    if IS_TODAY:
        from arbench.training.optimizer import update
        from arbench.training.recipes import TrainingRecipe

        recipe, moments = TrainingRecipe(), {}

        def change() -> None:
            norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])
            assert math.isfinite(norm)
            update(model.network, moments, recipe, 1e-3)
    else:
        optimizer = torch.optim.Adam(model.parameters(), fused=True)

        def change() -> None:
            assert math.isfinite(nn.utils.clip_grad_norm_(model.parameters(), math.inf))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    log_probs = model.training_log_prob if IS_TODAY else model

    def step() -> None:
        nats = -(log_probs(events, None) * weights).sum()
        (nats / num_dims).backward()
        change()
        assert math.isfinite(nats.detach())

    return step


def kept_for_reuse() -> contextlib.AbstractContextManager[None]:
    """Freed memory stays with the process, as in a run."""
    then = "arbench.experiment.memory"
    module = importlib.import_module("arbench.measure.allocator" if IS_TODAY else then)
    context: contextlib.AbstractContextManager[None] = module.kept_for_reuse()
    return context


def transformers_gpt(case: Case) -> Callable[[], object]:
    """`transformers` generates as many tokens, with its cache."""
    sys.modules["torchvision"] = None  # type: ignore[assignment]  # it is of no use here
    import transformers

    settings = case.of.settings
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=LENGTH + 1,
        n_embd=settings["width"],
        n_layer=settings["num_layers"],
        n_head=settings["num_heads"],
        bos_token_id=0,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    start = torch.zeros(case.batch, 1, dtype=torch.long)
    length = {"min_new_tokens": LENGTH, "max_new_tokens": LENGTH}

    def generate() -> None:
        mask = torch.ones_like(start)
        options = {"do_sample": True, "top_k": 0, "use_cache": True}
        tokens = model.generate(start, attention_mask=mask, **options, **length)
        assert tokens.shape == (case.batch, 1 + LENGTH)

    return generate


def lstm_cells(case: Case) -> Callable[[], object]:
    """A tight loop over torch's own cells."""
    settings = case.of.settings
    hidden, wide = settings["hidden"], settings["embedding"]
    embedding, outputs = nn.Embedding(VOCABULARY, wide), nn.Linear(hidden, VOCABULARY)
    inputs = [wide, *[hidden] * (settings["num_layers"] - 1)]
    cells = [nn.LSTMCell(num, hidden) for num in inputs]

    @torch.inference_mode()
    def generate() -> None:
        token = torch.zeros(case.batch, dtype=torch.long)
        states = [(torch.zeros(case.batch, hidden),) * 2 for _ in cells]
        for _ in range(LENGTH):
            units = embedding(token)
            for number, cell in enumerate(cells):
                states[number] = cell(units, states[number])
                units = states[number][0]
            token = torch.multinomial(outputs(units).softmax(-1), 1).squeeze(1)

    return generate


WORK = {"sample": sampling, "train": training, "evaluate": evaluating}
PEERS = {"transformers": transformers_gpt, "LSTM cells": lstm_cells}


def main() -> None:
    """Answer every line; what the case before needed is forgotten."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else prints must not be an answer
    cases = {case.name: case for case in CASES}
    known: tuple[str, str] | None = None
    with kept_for_reuse():
        for line in sys.stdin:
            name, who, times = json.loads(line)
            if known != (name, who):
                known, call = (name, who), PEERS.get(who, WORK[cases[name].work])(cases[name])
            cpu, clock = time.process_time(), time.perf_counter()
            for _ in range(times):
                call()
            cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
            print(json.dumps([cpu / times, clock / times]), file=answers, flush=True)


if __name__ == "__main__":
    main()
