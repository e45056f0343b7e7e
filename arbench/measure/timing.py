"""Times any callable: warm-up, synchronisation, median and quartiles."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timing:
    """How long one call takes.

    Attributes:
        median_s: median seconds per call.
        iqr_s: interquartile range in seconds (0 for one repeat).
        repeats: timed calls.
    """

    median_s: float
    iqr_s: float
    repeats: int


def synchronize(device: torch.device) -> None:
    """Wait until everything queued on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def time_callable(
    function: Callable[[], object],
    *,
    device: torch.device,
    warmup: int = 1,
    repeats: int = 5,
    cap_s: float = 30.0,
    between: Callable[[int], None] = lambda calls: None,
) -> Timing:
    """Time a callable: warm-up, device synchronised, median and interquartile range.

    Args:
        function: what to time.
        device: synchronised before and after each call.
        warmup: untimed calls first.
        repeats: timed calls at most.
        cap_s: no further call is started once this much time has passed, the first timed call
            excepted.
        between: told after each call how many there were, the untimed ones included; no clock
            runs then.
    """
    started = time.perf_counter()
    for number in range(warmup):
        function()
        between(number + 1)
    seconds: list[float] = []
    while len(seconds) < repeats:
        if seconds and time.perf_counter() - started > cap_s:
            break
        synchronize(device)
        begin = time.perf_counter()
        function()
        synchronize(device)
        seconds.append(time.perf_counter() - begin)
        between(warmup + len(seconds))
    if len(seconds) < 2:
        return Timing(seconds[0], 0.0, 1)
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return Timing(middle, high - low, len(seconds))
