"""Killed anywhere, a run goes on to the bytes that it would have had undisturbed.

Sixty kills by SIGKILL, at named points and at random times, of five families. One process imports
arbench, and each run is a fork of it: nothing but the folder outlives a run.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forks")

SMALL = ["checkpoint_seconds=0", "evaluations=3", "batch_size=20", "training.epochs=3"]
# Model to task and settings.
FAMILIES = {
    "nade": "toy-markov hidden=6 ema_decay=0.9",
    "made": "toy-parity alternative=dropout hidden=8 dropout=0.1 num_orderings=2",
    "pixelcnn": "toy-ising hidden=4 num_blocks=1 outputs=4",
    "lstm": "text:TEXT hidden=6 embedding=4 context=16 stride=8",
    "cpt": "toy-markov batch_size=20",  # fits itself
}

# What is executed before a run, and between which calls n is drawn: `deadly(function, n)` dies at
# the n-th call of a function, before that does anything.
POINTS = {
    "in the very first write": ("os.replace = deadly(os.replace, 1)", (1, 1)),
    "in a batch": ("torch.Tensor.backward = deadly(torch.Tensor.backward, {n})", (1, 9)),
    "among the tensors of a checkpoint": (
        "checkpoints.save_tensors = before(checkpoints.save_tensors, {n}, "
        "lambda: setattr(torch.Tensor, 'cpu', deadly(torch.Tensor.cpu, 2)))",
        (1, 9),
    ),
    "before a flush": ("os.fsync = deadly(os.fsync, {n})", (3, 36)),
    "before a rename": ("os.replace = deadly(os.replace, {n})", (2, 18)),
    "between the tensors of a checkpoint and its state": (
        "checkpoints.write_text = deadly(checkpoints.write_text, {n})",
        (1, 9),
    ),
    "while old checkpoints are removed": ("os.unlink = deadly(os.unlink, {n})", (5, 25)),
    "in a validation": (
        "trainer.evaluate_log_probs = deadly(trainer.evaluate_log_probs, {n})",
        (1, 3),
    ),
    "in the final evaluation": (
        "asking.evaluate_log_probs = deadly(asking.evaluate_log_probs, {n})",
        (1, 2),
    ),
    "in the checks": ("checks.check_samples = deadly(checks.check_samples, 1)", (1, 1)),
    "before the record": ("records.Record.write = deadly(records.Record.write, 1)", (1, 1)),
    "while the checkpoint goes": ("os.rmdir = deadly(os.rmdir, 1)", (1, 1)),
}
OF_A_FIT = ("in the very first write", "in the final evaluation", "before the record")
RANDOM_TIMES = 2

HARNESS = """
import json, os, signal, sys, time
import torch
import arbench.api, arbench.cli, arbench.cli.resume, arbench.cli.run
from arbench.training import checkpoints, trainer
from arbench.runs.record import record as records
from arbench.measure import speed
from arbench.measure import asking
from arbench.runs import trained_checks as checks
from arbench.measure.speed import SpeedRecord

row = dict(batch_size=1, median_s=1.0, iqr_s=0.0, events_per_s=1.0, repeats=1)
row |= dict(method="step", device="cpu", precision="float32", compiled=False, extrapolated=False)
speed.measure_sampling = lambda *arguments, **options: [SpeedRecord(**row)]

def before(real, n, what):
    calls = 0
    def call(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == n:
            what()
        return real(*arguments, **options)
    return call

def deadly(real, n):
    return before(real, n, lambda: os.kill(os.getpid(), signal.SIGKILL))

for line in sys.stdin:
    arguments, prelude, seconds, errors = json.loads(line)
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            file = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, 1)
            os.dup2(file, 2)
            exec(prelude)
            code = arbench.cli.main(arguments)
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), time.monotonic() - started]), flush=True)
"""


@dataclass(frozen=True)
class Case:
    """One kill: of which family, at which point, and in which call of it or after what share."""

    family: str
    point: str
    number: float

    def __str__(self) -> str:
        """A name for messages."""
        return f"{self.family} killed {self.point} ({self.number:.3g})"


def all_cases() -> list[Case]:
    """Sixty, the same every time, in a random order."""
    draw = random.Random(0)
    cases = []
    for family in FAMILIES:
        for point, (_, calls) in POINTS.items():
            if family != "cpt" or point in OF_A_FIT:
                cases.append(Case(family, point, draw.randint(*calls)))
        for _ in range(1 if family == "cpt" else RANDOM_TIMES):
            cases.append(Case(family, "at a random time", draw.uniform(0.05, 0.9)))
    draw.shuffle(cases)
    return cases


class Killer:
    """Makes runs in children of a child, and kills them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # A stream with something to learn in it.
        draw = random.Random(1)
        text = "".join(draw.choice(["abba ", "cab ", "a bad cab ", "abc "]) for _ in range(160))
        self.text = folder / "text.txt"
        self.text.write_text(text)
        self.outcomes: dict[str, tuple[Any, float]] = {}
        self.process = subprocess.Popen(
            [sys.executable, "-c", HARNESS],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def make(
        self, arguments: list[str], prelude: str = "", seconds: float | None = None
    ) -> tuple[int, float, str]:
        """The exit code of a run, how long it took, and what it said."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        errors = self.folder / "errors"
        job = ([*arguments, "--device", "cpu"], prelude, seconds, str(errors))
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        code, took = json.loads(self.process.stdout.readline())
        return code, took, errors.read_text()

    def begin(self, family: str, folder: Path) -> list[str]:
        """What begins a run of a family."""
        task, *settings = FAMILIES[family].replace("TEXT", str(self.text)).split()
        settings += [] if family == "cpt" else SMALL
        given = [word for setting in settings for word in ("--set", setting)]
        begun = ["run", "--task", task, "--model", family, *given]
        return [*begun, "--limit", "60", "--out", str(folder)]

    def go_on(self, family: str, folder: Path) -> list[str]:
        """What goes on with it, if there is anything to go on with."""
        if not (folder / "config.json").exists():
            return self.begin(family, folder)
        task = ["--task", f"text:{self.text}"] if family == "lstm" else []
        return ["resume", str(folder), *task]

    def undisturbed(self, family: str) -> tuple[Any, float]:
        """The outcome of a family's run that nobody kills, and how long it takes."""
        if family not in self.outcomes:
            folder = self.folder / f"{family}-undisturbed"
            code, took, said = self.make(self.begin(family, folder))
            assert code == 0, said
            self.outcomes[family] = outcome(folder), took
        return self.outcomes[family]

    def hold(self, case: Case) -> None:
        """Kill, go on, and compare."""
        expected, took = self.undisturbed(case.family)
        folder = self.folder / "run"
        code = 0
        share = case.number
        while code == 0:  # a random time may come too late, when the machine has little to do
            remove(folder)
            prelude, seconds = "", None
            if case.point in POINTS:
                prelude = POINTS[case.point][0].format(n=int(case.number))
            else:
                seconds, share = share * took, share / 2
            code, _, said = self.make(self.begin(case.family, folder), prelude, seconds)
            assert code in ((0, -signal.SIGKILL) if seconds else (-signal.SIGKILL,)), said
        code, _, said = self.make(self.go_on(case.family, folder))
        assert code == 0, f"{case}: {said}"
        assert outcome(folder) == expected, case
        assert not list(folder.rglob(".*.tmp-*"))
        remove(folder)


def outcome(folder: Path) -> Any:
    """What must not depend on kills: all bytes but those that hold a clock."""
    record = json.loads((folder / "record.json").read_text())
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    for line in metrics:
        del line["seconds"]
    training = {k: v for k, v in record["training"].items() if k != "seconds"}
    digests = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.suffix == ".safetensors" or file.stem == "samples"
    }
    assert len(digests) == 3
    assert training["status"] == "finished"
    return digests, metrics, training, record["measurements"]["likelihood"], record["checks"]


def remove(folder: Path) -> None:
    """Take a run's folder away."""
    if folder.exists():
        for file in sorted(folder.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        folder.rmdir()


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    """One for all tests here."""
    made = Killer(tmp_path_factory.mktemp("kills"))
    yield made
    assert made.process.stdin is not None
    made.process.stdin.close()
    assert made.process.wait(timeout=60) == 0


def test_there_are_sixty_of_them_everywhere() -> None:
    cases = all_cases()
    assert len(cases) == 60
    for family in FAMILIES:
        points = {case.point for case in cases if case.family == family}
        assert points >= (set(OF_A_FIT) if family == "cpt" else set(POINTS))


def test_a_tenth_of_sixty_kills_changes_no_byte(killer: Killer) -> None:
    """Of two families, so that two undisturbed runs are enough."""
    cases = [case for case in all_cases() if case.family in ("nade", "made")]
    chosen = {case.point: case for case in cases}  # no point twice
    for case in random.Random(1).sample(sorted(chosen.values(), key=str), 6):
        killer.hold(case)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_sixty_kills_change_no_byte(killer: Killer, family: str) -> None:
    for case in all_cases():
        if case.family == family:
            killer.hold(case)
