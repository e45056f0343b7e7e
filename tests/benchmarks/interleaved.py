"""Contestants timed in turns, so that what else the machine does concerns all alike."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from pytest_benchmark.fixture import BenchmarkFixture


def interleaved_medians(
    benchmark: BenchmarkFixture, contestants: Mapping[str, Callable[[], object]], *, rounds: int
) -> dict[str, dict[int, float]]:
    """Median seconds of every contestant with one thread and with all: small products gain little.

    Args:
        benchmark: times the rounds, of which there is one more, to warm up.
        contestants: what to call, by name.
        rounds: how often each is called with each number of threads.

    Returns:
        By contestant, the median by number of threads. The number of threads is left changed.
    """
    taken: dict[str, dict[int, list[float]]] = {name: {} for name in contestants}

    def measure_all() -> None:
        for num_threads in sorted({1, os.cpu_count() or 1}):
            torch.set_num_threads(num_threads)
            for name, contestant in contestants.items():
                started = time.perf_counter()
                contestant()
                seconds = time.perf_counter() - started
                taken[name].setdefault(num_threads, []).append(seconds)

    benchmark.pedantic(measure_all, rounds=rounds, warmup_rounds=1)
    return {
        name: {threads: statistics.median(seconds[1:]) for threads, seconds in by_threads.items()}
        for name, by_threads in taken.items()
    }
