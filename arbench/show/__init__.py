"""What people look at: samples, pictures, heatmaps, numbers with their errors, progress.

`arbench.show(events, of)` shows events in a notebook.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch import Tensor

    from arbench.show.notebooks.events import Shown


def _show(room: ModuleType, events: Tensor, of: Any) -> Shown:
    """Events as a person looks at them: images, texts, sounds, music or rows.

    A notebook draws what comes back; elsewhere it is the texts, or a count.

    Args:
        room: this module, since it is called.
        events: `(B, *event_shape)`, or one event.
        of: what they are events of: the name of a task, a `Task`, a density, or what
            `arbench.open_run` returns. A density alone does not know the characters of a text.

    Raises:
        ConfigError: if `of` is something else, or the events are not of that kind.
    """
    from arbench.show.notebooks.events import shown

    return shown(events, of)


# A module and a function cannot share a name, so this module can be called.
sys.modules[__name__].__class__ = type("Show", (ModuleType,), {"__call__": _show})
show = cast("Callable[[Tensor, Any], Shown]", sys.modules[__name__])
