"""What this processor reaches at best, measured when it is first asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import conv2d, linear

_TIMINGS = 12  # of which the best counts
_SECONDS = 0.004  # of each
_LEAST_BYTES, _MOST_BYTES = 16e3, 512e6


class Machine:
    """Paces of a number of threads.

    Args:
        num_threads: of the products and reads.
        clock: "cpu", which counts the seconds of all threads, or "wall".
    """

    def __init__(self, num_threads: int, clock: str) -> None:
        self.num_threads = num_threads
        self.clock = {"cpu": time.process_time, "wall": time.perf_counter}[clock]
        self.known: dict[float, float] = {}

    def multiply_adds_per_s(self) -> float:
        """Of the fastest float32 product: of square matrices, linear or a convolution."""
        return self._products

    @cached_property
    def _products(self) -> float:
        before = torch.get_num_threads()
        torch.set_num_threads(self.num_threads)
        try:
            matrix, picture = torch.randn(1024, 1024), torch.randn(16, 64, 56, 56)
            picture = picture.to(memory_format=torch.channels_last)
            kernel, small = torch.randn(64, 64, 3, 3), torch.randn(512, 512)
            fused = torch.ops.mkldnn._linear_pointwise  # oneDNN's
            return max(
                1024**3 / self._best(lambda: matrix @ matrix),
                1024**3 / self._best(lambda: linear(matrix, matrix)),
                512**3 / self._best(lambda: fused(small, small, None, "none", [], "")),
                1024**3 / self._best(lambda: fused(matrix, matrix, None, "none", [], "")),
                16 * 54**2 * 64**2 * 9 / self._best(lambda: conv2d(picture, kernel)),
            )
        finally:
            torch.set_num_threads(before)

    def bytes_per_s(self, working_set: float) -> float:
        """Read from a working set of so many bytes: four long streams, a thread's share each."""
        size = float(f"{min(max(working_set, _LEAST_BYTES), _MOST_BYTES):.2g}")
        if size not in self.known:
            numbers = np.full(int(size / 4), 0.5, np.float32)  # numpy asks for huge pages
            parts = np.array_split(numbers, self.num_threads)
            times = max(1, min(int(_SECONDS * 50e9 / size), len(parts[0]) // 8))
            read = reader()
            with ThreadPoolExecutor(self.num_threads) as pool:

                def call() -> object:
                    if self.num_threads == 1:
                        return read(numbers, times)
                    return [*pool.map(read, parts, [times] * len(parts))]

                self.known[size] = times * numbers.nbytes / self._best(call)
        return self.known[size]

    def _best(self, call: Callable[[], object]) -> float:
        """Seconds of a call, the least of several."""
        call()
        found = []
        for _ in range(_TIMINGS):
            started, calls = self.clock(), 0
            while calls == 0 or self.clock() - started < _SECONDS:
                call()
                calls += 1
            found.append((self.clock() - started) / calls)
        return min(found)


@cache
def reader() -> Callable[[NDArray[np.float32], int], float]:
    """A compiled function that sums an array so many times."""
    import numba  # slow to import

    def read(numbers: Any, times: int) -> float:
        total, quarter = np.float32(0), len(numbers) // 4
        for first in range(times):
            # It starts with another number each time, so no time can be left out.
            a = b = c = d = numbers[first]
            for i in range(quarter):
                a += numbers[i]
                b += numbers[i + quarter]
                c += numbers[i + 2 * quarter]
                d += numbers[i + 3 * quarter]
            total += a + b + c + d
        return total

    compiled: Any = numba.njit(nogil=True, fastmath=True)(read)
    return compiled  # type: ignore[no-any-return]
