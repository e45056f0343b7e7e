"""Small photographs: ImageNet at 32x32."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(
        name="imagenet32",
        task="arbench_imagenet.imagenet32:ImageNet32",
        summary="photographs, 3x32x32, 256 levels, van den Oord's downsampling",
    )
]
