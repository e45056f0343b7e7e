"""The exceptions, and the exit code of each."""

from __future__ import annotations


class ArbenchError(Exception):
    """An expected failure; the message says what is wrong, what was expected, what to do next."""

    exit_code = 1


class RunError(ArbenchError):
    """A run failed: it diverged, ran out of memory, or the disk is full."""

    exit_code = 1


class Diverged(RunError):
    """A loss or a log-probability is not finite; such a run never becomes a number."""


class Impossible(Diverged):
    """A measurement found something impossible, such as a density better than the true one.

    Something is wrong with the density, so the whole run has no number.
    """


class Interrupted(RunError):
    """A signal stopped the run after a checkpoint; `exit_code` is 128 plus the signal's number."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class ConfigError(ArbenchError):
    """A name, option or recipe value is not acceptable."""

    exit_code = 2


class Held(ConfigError):
    """Another process works on the run; whoever shares the work with it looks again later."""


class DataError(ArbenchError):
    """Data are missing, damaged or not what their description says."""

    exit_code = 3


class CheckpointError(ArbenchError):
    """A checkpoint is damaged, foreign or hostile."""

    exit_code = 3


class NetworkError(ArbenchError):
    """A download or the Hub failed.

    Attributes:
        status: of the answer; None if there was none.
    """

    exit_code = 4

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class PluginError(ArbenchError):
    """A plugin cannot be loaded or breaks the rules."""

    exit_code = 5
