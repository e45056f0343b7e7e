"""What an element of an array job does; submitit calls it there, and asks it for a checkpoint."""

from __future__ import annotations

import signal
import time

from submitit.helpers import DelayedSubmission

from arbench import Job

_SECONDS_BETWEEN_LOOKS = 0.2


class Work:
    """A job of one run, as submitit has it.

    Args:
        job: to do.
        seconds: that it has to write a checkpoint.
    """

    def __init__(self, job: Job, seconds: float) -> None:
        self.job, self.seconds = job, seconds

    def __call__(self) -> int:
        """Start the job and wait for its end; its exit code."""
        self._process = process = self.job.start()
        try:
            while process.code is None:
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            if process.code == 128 + signal.SIGTERM:
                # SLURM has told all processes at once that it takes the machine back. What asks for
                # the checkpoint comes next; a result now would say that the run is over.
                time.sleep(self.seconds)
        finally:
            code = process.end(self.seconds)
        return code

    def checkpoint(self) -> DelayedSubmission:
        """Let the job write its checkpoint; what goes on with it, for submitit to requeue."""
        self._process.end(self.seconds)
        return DelayedSubmission(Work(self.job, self.seconds))
