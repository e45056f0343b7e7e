"""Small photographs: CIFAR-10."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(
        name="cifar10",
        task="arbench_cifar.cifar10:Cifar10",
        summary="photographs, 3x32x32, 256 levels, 45,000 / 5,000 / 10,000",
    )
]
