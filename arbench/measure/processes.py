"""The processes that share a run: batches are dealt to them, and the main one asks the others.

Whole batches are dealt, with the bounds that one process has, so that the value of an event is the
same to the bit however many there are, as long as each has as many threads. What a measurement does
beside that, the main process does alone; the others wait until it asks them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, NoReturn, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from arbench import errors
from arbench.data.tasks import Split, SplitName
from arbench.errors import ArbenchError, Interrupted, RunError
from arbench.measure.likelihood import evaluate_log_probs, evaluation_batch
from arbench.probability.density import Density
from arbench.show.reporting import Advance

# Others wait for as long as the main process measures. That of a dead process ends at once.
_PATIENCE = timedelta(days=30)

Made = TypeVar("Made")
Find = Callable[[SplitName], tuple[Density, Split]]
_Failure = tuple[str, str]  # the class of an error, and what it says


class Processes:
    """All processes of a run; every one makes this, at the same place of its work.

    What one of them fails by, all fail by. An interruption is not passed on: whoever stops a
    process stops the others, or they find it gone.

    Attributes:
        rank: which of them this is, from 0.
        count: how many there are.
        is_main: whether this is the one that measures and writes.
    """

    def __init__(self) -> None:
        # On the CPU, whatever training uses: gloo carries float64 and tells of a dead process.
        self._group = dist.new_group(backend="gloo", timeout=_PATIENCE)
        self.rank, self.count = dist.get_rank(), dist.get_world_size()
        self.is_main = self.rank == 0

    def evaluate(
        self, density: Density, split: Split, *, progress: Advance | None = None
    ) -> Tensor:
        """As `evaluate_log_probs`, each process a share; all call this, and all get all values."""
        return self._dealt(lambda: (density, split), progress)

    def asked(self, name: SplitName) -> Callable[..., Tensor]:
        """Within `led`, calls the others to a split; returns what the main process is to call."""
        self._heard(("split", name))
        return self.evaluate

    def led(self, work: Callable[[], Made], find: Find | None = None) -> Made:
        """What the main process makes, in all; it may ask the others for log-probabilities.

        Args:
            work: done by the main process alone.
            find: how the others know the density, and the split that they are asked for.

        Raises:
            ArbenchError: in all, of the kind that the main process failed by; RunError for others.
        """
        if self.is_main:
            try:
                made = work()
            except Interrupted:
                raise
            except Exception as error:
                self._heard(("failed", _told(error)))
                raise
            self._heard(("made", made))
            return made
        while True:
            what, told = self._heard(None)
            if what == "failed":
                _fail(0, told)
            if what == "made":
                return cast("Made", told)
            assert find is not None
            self._dealt(lambda name=told: find(name))  # type: ignore[misc]

    def _dealt(
        self, find: Callable[[], tuple[Density, Split]], progress: Advance | None = None
    ) -> Tensor:
        """Log-probabilities `(N,)` of all events of a split; this process computes its share."""
        failure: Exception | None = None
        own = torch.empty(0)
        try:
            density, split = find()
            batch_size = evaluation_batch(density)
            deal = (self.rank, self.count)
            own = evaluate_log_probs(
                density, split, batch_size=batch_size, deal=deal, progress=progress
            )
        except Interrupted:
            raise
        except Exception as error:
            failure = error
        shares = self._gathered((None if failure is None else _told(failure), own))
        if failure is not None:
            raise failure
        for rank, (told, _) in enumerate(shares):
            if told is not None:
                _fail(rank, told)
        dealt = [values.split(batch_size) for _, values in shares]
        batches = range(-(-len(split) // batch_size))
        return torch.cat([dealt[n % self.count][n // self.count] for n in batches])

    def _gathered(self, own: tuple[_Failure | None, Tensor]) -> list[Any]:
        """What each process has."""
        shares: list[Any] = [None] * self.count
        try:
            dist.all_gather_object(shares, own, group=self._group)
        except RuntimeError as error:
            raise _gone(self.count) from error
        return shares

    def _heard(self, told: tuple[Literal["split", "made", "failed"], Any] | None) -> Any:
        """What the main process tells all."""
        words: list[Any] = [told]
        try:
            dist.broadcast_object_list(words, src=0, group=self._group)
        except RuntimeError as error:
            raise _gone(self.count) from error
        return words[0]


def _gone(count: int) -> RunError:
    return RunError(
        f"another of the {count} processes of this run has ended; what it said last is the reason"
    )


def _told(error: Exception) -> _Failure:
    name, says = type(error).__name__, str(error) or type(error).__name__
    return name, says if isinstance(error, ArbenchError) else f"{name}: {says}"


def _fail(rank: int, told: _Failure) -> NoReturn:
    kind = getattr(errors, told[0], RunError)
    raise (kind if issubclass(kind, ArbenchError) else RunError)(f"process {rank}: {told[1]}")
