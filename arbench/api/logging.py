"""The contract of a logger, `arbench run --log NAME`, and what hands a run to its loggers."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from arbench.api.curves import TrainingCurve, training_curve
from arbench.api.keys import open_by_key
from arbench.registry.entries import LoggerEntry
from arbench.runs.folder import RunFolder
from arbench.runs.record.record import Record
from arbench.show.escaping import one_line
from arbench.show.reporting import Advance, Reporter

Around = Callable[[Path, Reporter], AbstractContextManager[Reporter]]


@dataclass(frozen=True)
class LogPoint:
    """A number of a training at one step.

    Attributes:
        step: how many steps the training had made.
        what: "train" or "validation".
        value: the number.
        unit: such as "nats/event" or "bits/pixel".
        seconds: how long the training had taken.
    """

    step: int
    what: str
    value: float
    unit: str
    seconds: float


class Logger(ABC):
    """Follows one run; keyword arguments of its constructor are its settings.

    A logger that raises is named and called no more, and the run goes on, unless it raises what it
    says ends the run.

    Attributes:
        ends_run: exceptions of its `log` that end the run and reach who called `arbench.run`, such
            as `(optuna.TrialPruned,)`. The folder stays as an interrupted run leaves it.
    """

    ends_run: tuple[type[Exception], ...] = ()

    def begin(self, folder: Path, name: str, config: Mapping[str, Any]) -> None:  # noqa: B027
        """Called once, before the first point.

        Args:
            folder: of the run.
            name: of the run, by its folder.
            config: task, model, recipe and seed by these names, settings by "section.key".
        """

    @abstractmethod
    def log(self, point: LogPoint) -> None:
        """A point, in the order of steps, while the run trains.

        A run that is resumed hands over its earlier points first. Step, what and unit are a
        point's key: of two with one key, from before an interruption and after, the later counts.
        """

    def end(self, record: Record) -> None:  # noqa: B027 - points are enough for some
        """The record, however the run ended; not called for a run that left none."""

    def close(self) -> None:  # noqa: B027 - most have nothing to do
        """Let go of everything; called once, at the end, however it came."""


def following(loggers: Sequence[str | Logger]) -> Around:
    """What to put around a run, so that these loggers follow it.

    Args:
        loggers: each by its name or key, such as `tensorboard?folder=logs`, or made already.

    Raises:
        ConfigError: if no logger has that name, it has no such setting or refuses its value, or
            what it needs is not installed.
        PluginError: if it cannot be loaded, or is no logger.
    """
    made = [
        open_by_key(LoggerEntry, Logger, each)  # type: ignore[type-abstract]
        if isinstance(each, str)
        else each
        for each in loggers
    ]
    return partial(_followed, made)


@contextlib.contextmanager
def _followed(loggers: Sequence[Logger], path: Path, reporter: Reporter) -> Iterator[Reporter]:
    """Hands the run in a folder to loggers; it has to report to what this yields."""
    follower = _Follower(loggers, path, reporter)
    curve = training_curve(path)
    config = {name: getattr(curve, name) for name in ("task", "model", "recipe", "seed")}
    config |= curve.settings
    follower.tell(lambda logger: logger.begin(path, path.resolve().name, config))
    with contextlib.ExitStack() as stack:
        stack.callback(follower.end)
        stack.callback(follower.follow)
        yield follower


class _Follower(Reporter):
    """Passes on what a run reports, and hands its new points to loggers as it trains."""

    def __init__(self, loggers: Sequence[Logger], path: Path, reporter: Reporter) -> None:
        self._loggers, self._reporter = [*loggers], reporter
        self._folder, self._size, self._count = RunFolder(path), 0, 0

    def say(self, text: str) -> None:
        self._reporter.say(text)

    @contextlib.contextmanager
    def bar(self, title: str, *, live: bool = True) -> Iterator[Advance]:
        with self._reporter.bar(title, live=live) as advance:

            def followed(fraction: float, note: str) -> None:
                advance(fraction, note)
                self.follow()

            # Only a training writes points, and it has cut off those that it will measure again.
            yield followed if title == "training" else advance

    def follow(self) -> None:
        """Hand over the points that are new; a look at the file's size where there are none."""
        metrics = self._folder.metrics
        size = metrics.stat().st_size if metrics.exists() else 0
        if size == self._size:
            return
        self._size = size
        points = _log_points(training_curve(self._folder.path))
        for point in points[self._count :]:
            self.tell(lambda logger, point=point: logger.log(point))  # type: ignore[misc]
        self._count = len(points)

    def end(self) -> None:
        """Hand over the record, if the run left one, and let go."""
        if self._folder.record.exists():
            record = Record.read(self._folder.record)
            self.tell(lambda logger: logger.end(record))
        self.tell(lambda logger: logger.close())

    def tell(self, call: Callable[[Logger], None]) -> None:
        """Call every logger; one that fails is named, and called no more."""
        for logger in [*self._loggers]:
            try:
                call(logger)
            except logger.ends_run:
                raise
            except Exception as error:  # a run of days does not end with a logger's server
                self._loggers.remove(logger)
                problem = one_line(f"{type(error).__name__}: {error}")
                self._reporter.say(
                    f"warning: the logger {type(logger).__name__} failed ({problem}); "
                    "the run goes on without it"
                )


def _log_points(curve: TrainingCurve) -> list[LogPoint]:
    """The points of a curve, each of its numbers one."""
    found = []
    for each in curve.points:
        nats, bits = f"nats/{curve.per}", f"bits/{curve.unit}"
        for what, value, unit in (
            ("train", each.train, nats),
            ("validation", each.validation, nats),
            ("train", each.train_bits, bits),
            ("validation", each.validation_bits, bits),
        ):
            if value is not None:
                found.append(LogPoint(each.step, what, value, unit, each.seconds))
    return found
