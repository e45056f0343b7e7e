"""Dataset: a task as one run sees it."""

from __future__ import annotations

from arbench.data.tasks import Split, SplitName, Task, check_events
from arbench.errors import DataError


def load_split(task: Task, name: SplitName, limit: int | None = None) -> Split:
    """The events of a split, or the first few, which are what the task says they are.

    Raises:
        DataError: if there are none, or one is not. A resampled train split is left alone: what
            training sees of it is checked epoch by epoch.
    """
    split = task.load(name).first(limit)
    if len(split) == 0:
        raise DataError(f"{task.name}: its {name} split is empty")
    if name != "train" or not task.has_training_view:
        check_events(task, name, split.events)
    return split
