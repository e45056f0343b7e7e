"""The least that each case has to compute and to move, from which its limit follows.

A limit is a bound from above on what could be reached, by these rules:

* Only multiply-adds of products count. A product with something that is 0, or that a mask sets to
  0, is none; one with a one-hot vector is the row of a table.
* Weights move once per call, and once per site where sites follow one another, from a working set
  of all weights and of what else a step comes back to. What could be computed again or kept in
  registers does not move. Adam reads weights, gradients and two moments, and writes three of them.
* A phase takes as long as its products at the best pace of any product, or as its bytes at the pace
  at which a working set of that size is read, whichever is longer. Phases add up where one needs
  what the one before says: the sum over sites, layers, forward, backward and update.

What no count knows, such as the time from one draw to the next, or activation functions, is not in
it, so nobody reaches a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from cases import ONES, Case

_BYTES = 4  # of a number in float32


@dataclass(frozen=True)
class Phase:
    """Work that has to be done before the next phase.

    Attributes:
        multiply_adds: of its products.
        numbers: how many have to be read or written, float32.
        among: of a working set of how many.
    """

    multiply_adds: float
    numbers: float
    among: float


class Paces(Protocol):
    """What a machine reaches; see `machine.Machine`."""

    def multiply_adds_per_s(self) -> float:
        """Of the fastest product."""

    def bytes_per_s(self, working_set: float) -> float:
        """Read from a working set of so many bytes."""


def least_seconds(phases: Iterable[Phase], machine: Paces) -> float:
    """How long phases take at least, one after the other."""
    total = 0.0
    for phase in phases:
        moving = _BYTES * phase.numbers / machine.bytes_per_s(_BYTES * phase.among)
        total += max(phase.multiply_adds / machine.multiply_adds_per_s(), moving)
    return total


def trained(forward: Phase, num_weights: float, first: float = 0.0) -> list[Phase]:
    """Forward, backward and update of one training step.

    Backward has two products for each of forward's, one for the weights and one for what they
    multiply, but for the first layer, whose inputs need no gradient.

    Args:
        forward: its products.
        num_weights: that can be anything but 0.
        first: multiply-adds of the first layer.
    """
    backward = Phase(2 * forward.multiply_adds - first, 2 * forward.numbers, forward.among)
    return [forward, backward, Phase(0, 7 * num_weights, 4 * num_weights)]


def nade(case: Case) -> list[Phase]:
    """H multiply-adds a site for the readout, and H for each 1 but the last site's, to add its row.

    Rows that no event of the batch has a 1 for need not be read.
    """
    num, hidden = case.of.num_sites, case.of.settings["hidden"]
    readout, rows = num * hidden, (num - 1) * hidden
    forward = Phase(
        case.batch * (readout + ONES * rows),
        readout + min(1, ONES * case.batch) * rows,
        readout + rows,
    )
    if case.work == "train":
        return trained(forward, readout + rows, first=case.batch * ONES * rows)
    return [forward]


def fvsbn(case: Case) -> list[Phase]:
    """A triangle of T (T - 1) / 2 weights, of which the columns of ones are added."""
    triangle = case.of.num_sites * (case.of.num_sites - 1) / 2
    products = case.batch * ONES * triangle
    return [Phase(products, min(1, ONES * case.batch) * triangle, triangle)]


def made(case: Case) -> list[Phase]:
    """Half of both layers, and a triangle from inputs to outputs.

    Degrees of hidden units are spread evenly over 1 to T - 1. A unit of degree d reads d inputs, of
    which only ones count, and T - d outputs read it.
    """
    num, hidden = case.of.num_sites, sum(case.of.settings["hidden"])
    half, triangle = hidden * num / 2, num * (num - 1) / 2
    first = case.batch * ONES * (half + triangle)
    read = min(1, ONES * case.batch) * (half + triangle)
    forward = Phase(first + case.batch * half, read + half, 2 * half + triangle)
    return trained(forward, 2 * half + triangle, first) if case.work == "train" else [forward]


def pixelcnn(case: Case) -> list[Phase]:
    """Every pixel's taps within the picture; masked taps are none.

    A block is 2h to h, 3x3 with 5 taps left, and h to 2h. Of the first layer's inputs, ones count.
    Activations stay in caches, or are computed again.
    """
    (_, height, width), settings = case.of.shape, case.of.settings
    hidden, outputs, reach = settings["hidden"], settings["outputs"], settings["first_kernel"] // 2
    before = [(row, column) for row in range(reach + 1) for column in range(-reach, reach + 1)]
    before = [(row, column) for row, column in before if row > 0 or column < 0]
    near = [(0, 0), (0, 1), (1, -1), (1, 0), (1, 1)]

    def pairs(taps: list[tuple[int, int]]) -> int:
        return sum((height - row) * (width - abs(column)) for row, column in taps)

    block = 4 * hidden**2 * pairs([(0, 0)]) + hidden**2 * pairs(near)
    readout = (2 * hidden * outputs + outputs) * height * width
    first = case.batch * ONES * pairs(before) * 2 * hidden
    weights = len(before) * 2 * hidden + settings["num_blocks"] * 9 * hidden**2
    weights += 2 * hidden * outputs + outputs
    products = first + case.batch * (settings["num_blocks"] * block + readout)
    sites = height * width if case.work == "sample" else 1
    forward = Phase(products, sites * weights, weights)
    return trained(forward, weights, first) if case.work == "train" else [forward]


def wavenet(case: Case) -> list[Phase]:
    """Per sample, of every layer: the gates' taps within the clip, skip and residual products.

    The first layer's gates read rows of a table, and the last layer has no residual.
    """
    num, settings = case.of.num_sites, case.of.settings
    channels, skips = settings["channels"], settings["skip_channels"]
    dilations = [*settings["dilations"]] * settings["num_blocks"]
    tap = 2 * channels**2
    gates = sum(
        tap * sum(max(0, num - n * dilation) for n in range(settings["kernel_size"]))
        for dilation in dilations[1:]
    )
    mixed = len(dilations) * skips * channels + (len(dilations) - 1) * channels**2
    readout = skips**2 + skips * case.of.num_values
    weights = (len(dilations) - 1) * settings["kernel_size"] * tap + mixed + readout
    return [Phase(case.batch * (gates + num * (mixed + readout)), num * weights, weights)]


def gpt(case: Case) -> list[Phase]:
    """12 W^2 a block and token, attention to all tokens so far, W K for the readout.

    Sampled token by token, weights are read for each, and so are all keys and values of every
    event. Of windows of which only the last symbols are scored, the last block's queries, and what
    follows them, are of those alone. In training, attention has its own backward products.
    """
    num, settings, batch = case.of.num_sites, case.of.settings, case.batch
    layers, width = settings["num_layers"], settings["width"]
    block, readout = 12 * width**2, width * case.of.num_values
    weights = layers * block + readout
    seen = num * (num + 1) / 2  # pairs of a query and a key
    if case.work == "sample":
        kept = 2 * width * layers * batch
        among = weights + kept * num
        products = Phase(batch * num * weights, num * weights, among)
        return [products, Phase(kept * seen, kept * seen, among)]
    if case.stride is not None:
        left = num - case.stride
        scored = seen - left * (left + 1) / 2
        last = 2 * width**2 * num + 10 * width**2 * case.stride
        pairs = 2 * width * ((layers - 1) * seen + scored)
        products = (layers - 1) * block * num + last + pairs + readout * case.stride
        return [Phase(batch * products, weights, weights)]
    products = batch * (num * weights + 2 * width * layers * seen)
    return trained(Phase(products, weights, weights), weights)


def lstm(case: Case) -> list[Phase]:
    """4 H^2 a layer for the state, 4 H^2 for each layer below another, and H K for the readout.

    What the first layer reads is a row of a table.
    """
    num, settings = case.of.num_sites, case.of.settings
    layers, hidden = settings["num_layers"], settings["hidden"]
    weights = (2 * layers - 1) * 4 * hidden**2 + hidden * case.of.num_values
    return [Phase(case.batch * num * weights, num * weights, weights)]


COUNTS: dict[str, Callable[[Case], list[Phase]]] = {
    "nade": nade,
    "fvsbn": fvsbn,
    "made": made,
    "pixelcnn": pixelcnn,
    "wavenet": wavenet,
    "gpt": gpt,
    "gpt-small": gpt,
    "lstm": lstm,
}
