"""Small photographs: CIFAR-10, and the first 6,102 of them."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(
        name="cifar10",
        task="arbench_cifar.cifar10:Cifar10",
        summary="photographs, 3x32x32, 256 levels, 45,000 / 5,000 / 10,000",
    ),
    TaskEntry(
        name="cifar10-6k",
        task="arbench_cifar.prefix:Cifar10Prefix",
        summary="the first photographs of each CIFAR-10 batch, 4,576 / 509 / 1,017; not CIFAR-10",
    ),
]
