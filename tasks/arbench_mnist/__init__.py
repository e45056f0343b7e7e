"""MNIST digits, in four fixed forms."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(
        name="mnist",
        task="arbench_mnist.resampled:MNIST",
        summary="digits, binary 28x28, 50,000 (resampled every epoch) / 10,000 / 10,000",
    ),
    TaskEntry(
        name="mnist-static",
        task="arbench_mnist.static:StaticMNIST",
        summary="digits, Salakhutdinov and Murray's fixed bits, 50,000 / 10,000 / 10,000",
    ),
    TaskEntry(
        name="mnist-gray",
        task="arbench_mnist.gray:GrayMNIST",
        summary="digits with 256 grey levels, 50,000 / 10,000 / 10,000",
    ),
    TaskEntry(
        name="mnist-mini",
        task="arbench_mnist.mini:MiniMNIST",
        summary="5,000 digits of mnist's train split, in the package: 3,500 / 500 / 1,000",
    ),
]
