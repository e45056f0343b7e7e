"""Learning: one event can be memorised, and every weight takes part."""

from __future__ import annotations

import math

import torch

from arbench.testing.subject import ConformanceError, NotApplicableError, Subject, learn

_NUM_STEPS = 300
_LEARNING_RATES = (0.02, 0.002, 0.2)
# Of the nats of the uniform distribution; a sigmoid of a sigmoid cannot get below 0.45.
_MEMORISED_FRACTION = 0.15


def check_memorises_one_event(subject: Subject) -> None:
    """Trained on a single event, the model gives it a high probability.

    Raises:
        ConformanceError: with the nats that it gets stuck at.
    """
    event = subject.random_events(1, seed=10)
    uniform = subject.spec.num_dims * math.log(subject.layout.alphabet_size)
    best = math.inf
    for learning_rate in _LEARNING_RATES:
        reached = learn(
            subject.fresh(),
            event,
            num_steps=_NUM_STEPS,
            learning_rate=learning_rate,
            enough_nats=_MEMORISED_FRACTION * uniform / 2,
        )
        best = min(best, reached)
        if best < _MEMORISED_FRACTION * uniform:
            return
    raise ConformanceError(
        f"trained on one event alone, the model still spends {best:.3g} nats on it (uniform: "
        f"{uniform:.3g}): are the params logits, or squashed twice?"
    )


def check_gradients(subject: Subject) -> None:
    """Every parameter tensor gets a gradient that is not zero everywhere, and is finite.

    Raises:
        ConformanceError: naming the tensors that do not.
        NotApplicableError: if the network fits itself, or has no weights.
    """
    model = subject.sharpened()
    if hasattr(model.network, "fit"):
        raise NotApplicableError("the network fits itself, without gradients")
    weights = {n: p for n, p in model.network.named_parameters() if p.requires_grad}
    if not weights:
        raise NotApplicableError("the network has no weights")
    model.zero_grad()
    torch.autograd.backward(-model.log_prob(subject.random_events(64, seed=11)).sum())
    idle = [name for name, p in weights.items() if p.grad is None or not bool(p.grad.any())]
    if idle:
        raise ConformanceError(f"no gradient reaches {', '.join(idle)}: nothing depends on it")
    wild = [n for n, p in weights.items() if p.grad is not None and not p.grad.isfinite().all()]
    if wild:
        raise ConformanceError(f"the gradient of {', '.join(wild)} is not finite")
