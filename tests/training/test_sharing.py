"""Processes that share a run: batches are dealt, one process writes, and all end together."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from arbench.api import untrained
from arbench.data.dataset import Dataset
from arbench.data.tasks import Split, open_task
from arbench.errors import ArbenchError, ConfigError
from arbench.measure.asking import Measuring
from arbench.measure.context import Context, Handed
from arbench.measure.likelihood import evaluate_log_probs
from arbench.measure.measurement import Measured, Measurement
from arbench.measure.processes import Processes
from arbench.probability.density import Density
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.layouts import Layout
from arbench.probability.model import Model

SECONDS = 60  # of a child


def forked(work: Callable[[int], int], count: int) -> list[int]:
    """The exit codes of so many forks of this process, each at work on its rank."""
    children = []
    for rank in range(count):
        if (child := os.fork()) == 0:
            code = 70
            try:
                torch.set_num_threads(1)  # a fork has no threads but its own
                code = work(rank)
            finally:
                os._exit(code)
        children.append(child)
    return [_code_of(child) for child in children]


def _code_of(child: int) -> int:
    """The exit code of a child; one that has not ended in time is killed, and fails."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 71


@pytest.fixture(scope="module")
def density() -> Model:
    """A network as it was made."""
    torch.manual_seed(0)
    return untrained("made", Layout(open_task("toy-markov").spec), hidden=[16]).eval()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As many threads as each of the forks has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Asks(Measurement):
    """One that looks at all log-probabilities, and at some of them twice."""

    name, version, unit, better = "asks", "1", "nats", "higher"
    reads = ("validation", "test")

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        assert torch.equal(context.log_probs("test"), context.log_probs("test"))
        return self.measured(
            {"both": context.log_probs("test") + context.log_probs("validation")}, index="both"
        )


def together(
    count: int, folder: Path, work: Callable[[Processes], Tensor | None]
) -> tuple[list[int], dict[int, str]]:
    """Exit codes and messages of processes; what they return is in `folder`, by rank."""

    def one(rank: int) -> int:
        dist.init_process_group(
            "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=count
        )
        try:
            if (found := work(Processes())) is not None:
                torch.save(found, folder / f"{rank}.pt")
        except ArbenchError as error:
            (folder / f"{rank}.txt").write_text(f"{type(error).__name__}: {error}")
            return error.exit_code
        return 0

    codes = forked(one, count)
    says = {rank: folder / f"{rank}.txt" for rank in range(count)}
    return codes, {rank: file.read_text() for rank, file in says.items() if file.exists()}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_events_have_the_values_of_one_process(density: Model, tmp_path: Path, count: int) -> None:
    dataset = Dataset(open_task("toy-markov"), limit=700)  # four batches of each split

    def work(processes: Processes) -> Tensor:
        measuring = Measuring(
            density, dataset, subject="it", seed=0, folder=tmp_path, processes=processes, cache=None
        )
        validated = processes.evaluate(density, dataset.split("train"))
        (asked,) = processes.led(lambda: [measuring.ask(Asks())[1].values["both"]], measuring.found)
        return torch.cat([validated, asked])

    assert together(count, tmp_path, work) == ([0] * count, {})
    expected = [
        evaluate_log_probs(density, dataset.split("train")),
        sum(evaluate_log_probs(density, dataset.split(name)) for name in ("test", "validation")),
    ]
    for rank in range(count):
        assert torch.equal(torch.load(tmp_path / f"{rank}.pt"), torch.cat(expected))


class Numbering:
    """Says of every event its number, and does something else at one of them."""

    def __init__(self, at: int, do: Callable[[Tensor], Tensor]) -> None:
        self.spec = EventSpec((3,), Discrete(1 << 10))
        self.at, self.do = at, do

    def log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        numbers = events[:, 0].double()
        return self.do(numbers) if self.at in numbers else numbers


def evaluated(folder: Path, do: Callable[[Tensor], Tensor]) -> tuple[list[int], dict[int, str]]:
    """How three processes end of which the second fails at event 300, in the second batch."""
    split = Split(torch.arange(700)[:, None].expand(-1, 3))
    density: Density = Numbering(300, do)  # type: ignore[assignment]
    return together(3, folder, lambda processes: processes.evaluate(density, split))


def test_what_one_process_fails_by_all_fail_by(tmp_path: Path) -> None:
    codes, says = evaluated(tmp_path, lambda numbers: numbers / 0.0)
    assert codes == [1, 1, 1]
    assert says[1].startswith("Diverged: event 200 has log-probability inf")
    assert says[0] == says[2] == says[1].replace("Diverged: ", "Diverged: process 1: ")
    assert not [*tmp_path.glob("*.pt")]


def test_an_error_of_a_network_is_told_to_all(tmp_path: Path) -> None:
    codes, says = evaluated(tmp_path, lambda numbers: numbers.view(7, 7))
    assert codes == [1, 70, 1]  # its own process has the traceback
    assert says[0] == says[2]
    assert says[0].startswith("RunError: process 1: RuntimeError: shape '[7, 7]' is invalid")


def test_the_others_end_if_one_is_killed(tmp_path: Path) -> None:
    def die(numbers: Tensor) -> Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        return numbers

    codes, says = evaluated(tmp_path, die)
    assert codes == [1, -signal.SIGKILL, 1]
    assert says[0] == says[2]
    assert "another of the 3 processes of this run has ended" in says[0]


def test_the_others_end_if_the_main_process_fails(tmp_path: Path) -> None:
    def work(processes: Processes) -> None:
        def refuse() -> None:
            raise ConfigError("no room")

        processes.led(refuse)

    codes, says = together(3, tmp_path, work)
    assert codes == [2, 2, 2]
    assert says == {
        0: "ConfigError: no room",
        1: "ConfigError: process 0: no room",
        2: "ConfigError: process 0: no room",
    }
