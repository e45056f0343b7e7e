"""Logistic regression whose regularisation is chosen on validation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What scikit-learn calls C: from strong regularisation to weak, two steps for a factor of ten.
STRENGTHS = tuple(10 ** (exponent / 2) for exponent in range(-8, 5))
# On the way a coarse fit will do. The last one is fine, so that another machine, which rounds
# otherwise, finds the same classes.
_COARSE, _FINE = 1e-4, 1e-6
_MOST_ITERATIONS = 1000


@dataclass(frozen=True)
class Inputs:
    """What describes the events of the three splits, and their classes.

    Attributes:
        train: `(N, H)` float32.
        validation: `(M, H)` float32.
        test: `(K, H)` float32.
        train_classes: `(N,)` int64.
        validation_classes: `(M,)` int64.
    """

    train: NDArray[np.float32]
    validation: NDArray[np.float32]
    test: NDArray[np.float32]
    train_classes: NDArray[np.int64]
    validation_classes: NDArray[np.int64]


def probed(inputs: Inputs) -> tuple[NDArray[np.int64], float]:
    """The classes of the test events by a logistic regression on the train events.

    Each input has mean 0 and standard deviation 1 over the train events; one that is constant
    there is 0. C goes up until the log-loss on validation does; the best C is fitted again,
    finely. Test events are looked at once, at the end.

    Returns:
        `(K,)`, the likeliest class of each test event; and C.
    """
    from sklearn.linear_model import LogisticRegression

    train, validation, test = _standardised(inputs)
    model: Any = LogisticRegression(max_iter=_MOST_ITERATIONS, tol=_COARSE, warm_start=True)
    best, best_loss = STRENGTHS[0], np.inf
    coefficients = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it may not converge C is too large, and not chosen
        for strength in STRENGTHS:
            model.set_params(C=strength).fit(train, inputs.train_classes)
            loss = _log_loss(model, validation, inputs.validation_classes)
            if loss >= best_loss:
                break
            best, best_loss = strength, loss
            coefficients = model.coef_.copy(), model.intercept_.copy()
        assert coefficients is not None  # the first log-loss is finite
        model.coef_, model.intercept_ = (each.astype(np.float64) for each in coefficients)
        model.set_params(C=best, tol=_FINE).fit(train.astype(np.float64), inputs.train_classes)
    return model.predict(test.astype(np.float64)), best


def _standardised(inputs: Inputs) -> tuple[NDArray[np.float32], ...]:
    mean = inputs.train.mean(0, dtype=np.float64)
    deviation = inputs.train.std(0, dtype=np.float64)
    varies = deviation > 1e-7 * np.abs(inputs.train).max(0)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varies)
    parts = (inputs.train, inputs.validation, inputs.test)
    return tuple(((part - mean) * scale).astype(np.float32) for part in parts)


def _log_loss(model: Any, events: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    """Mean nats of the right class; a class that no train event has costs 30."""
    log_probs = model.predict_log_proba(events)
    place = np.searchsorted(model.classes_, classes).clip(max=len(model.classes_) - 1)
    known = model.classes_[place] == classes
    own = log_probs[np.arange(len(classes)), place]
    return float(-np.where(known, own, -30.0).mean(dtype=np.float64))
