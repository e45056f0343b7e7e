"""Fits boosted trees to one binary variable, and stops when events held out say so."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_LEAST_GAIN = 1e-6  # nats by which a tree must improve the events held out, to count as better
_EQUAL = 1 - 1e-6  # cuts of this share of the best worth are as good, whatever their rounding


class Settings(NamedTuple):
    """How trees are grown; see `BoostedTrees`."""

    depth: int
    max_trees: int
    patience: int
    shrinkage: float
    leaf_penalty: float


class Trees(NamedTuple):
    """A sum of n trees of one depth d, all of whose nodes of one level ask for the same variable.

    Attributes:
        bias: logit before the first tree.
        asked: `(n, d)` int64, which variable each level asks for, the first level first.
        answers: `(n, 2**d)`, what each leaf adds to the logit. The number of a leaf has the values
            asked for as its binary digits.
    """

    bias: float
    asked: Tensor
    answers: Tensor


def boost(known: Tensor, target: Tensor, held_out: Tensor, settings: Settings) -> Trees:
    """Trees for the logit of a variable, given those known.

    Args:
        known: `(F, N)` floating point, 0 or 1, N events of F variables.
        target: `(N,)`, 0 or 1, in the same dtype.
        held_out: `(N,)` boolean; these events are not learned from. They tell when to stop.
        settings: how trees are grown.
    """
    learned = (~held_out).to(target)
    bias = _logit((learned @ target).item(), learned.sum().item())
    logits = torch.full_like(target, bias)
    asked: list[Tensor] = []
    answers: list[Tensor] = []
    best, num_best = _mean_nats(logits, target, held_out), 0
    while len(known) and len(asked) < min(num_best + settings.patience, settings.max_trees):
        slopes = _slopes(logits, target) * learned
        levels, leaves, leaf = _grow(known, slopes, settings)
        logits += leaves.index_select(0, leaf)
        asked.append(levels)
        answers.append(leaves)
        nats = _mean_nats(logits, target, held_out)
        if nats < best - _LEAST_GAIN:
            best, num_best = nats, len(asked)
    if not num_best:
        shape = 0, settings.depth
        return Trees(bias, torch.zeros(shape).long(), target.new_zeros(0, 1 << settings.depth))
    return Trees(bias, torch.stack(asked[:num_best]), torch.stack(answers[:num_best]))


def _grow(known: Tensor, slopes: Tensor, settings: Settings) -> tuple[Tensor, Tensor, Tensor]:
    """One tree: the rows of `known` that its levels ask for, its leaves, each event's leaf.

    Every cell of the tree so far is cut by the same variable, the one that gains most over all
    cells. A cell of slope G and curvature H is worth `G^2 / (H + penalty)`, and its leaf answers
    `-G / (H + penalty)`, the step of Newton.

    Args:
        known: `(F, N)`.
        slopes: `(2, N)`, first and second derivative of each event's nats by its logit; 0 for
            events that do not count.
        settings: depth, penalty and shrinkage.
    """
    cells = slopes.unsqueeze(1)  # (2, C, N): each event's slopes in its cell, 0 elsewhere
    ones = cells @ known.T  # (2, C, F): their sums where a variable is 1
    leaf = torch.zeros(known.shape[1], dtype=torch.int64)
    levels = []
    for deeper in reversed(range(settings.depth)):
        zeros = cells.sum(-1, keepdim=True) - ones
        worth = _worth(ones, settings.leaf_penalty) + _worth(zeros, settings.leaf_penalty)
        worths = worth.sum(0)
        level = (worths >= worths.max() * _EQUAL).int().argmax()  # the first of equals
        levels.append(level)
        cut = cells * known[level]
        cells = torch.stack((cells - cut, cut), dim=2).flatten(1, 2)
        leaf = 2 * leaf + known[level].long()
        if deeper:
            cut_ones = cut @ known.T
            ones = torch.stack((ones - cut_ones, cut_ones), dim=2).flatten(1, 2)
    slope, curvature = cells.sum(-1)
    leaves = -settings.shrinkage * slope / (curvature + settings.leaf_penalty)
    return torch.stack(levels), leaves, leaf


def _worth(cells: Tensor, penalty: float) -> Tensor:
    worth: Tensor = cells[0].square() / (cells[1] + penalty)
    return worth


def _slopes(logits: Tensor, target: Tensor) -> Tensor:
    """First and second derivative `(2, N)` of the nats of targets by their logits."""
    ones = torch.sigmoid(logits)
    return torch.stack((ones - target, ones * (1 - ones)))


def _mean_nats(logits: Tensor, target: Tensor, counted: Tensor) -> float:
    nats = F.softplus(logits) - logits * target
    return nats[counted].mean().item() if counted.any() else math.inf


def _logit(num_ones: float, num_events: float) -> float:
    """The logit of a frequency, with half an event added on either side."""
    return math.log((num_ones + 0.5) / (num_events - num_ones + 0.5))
