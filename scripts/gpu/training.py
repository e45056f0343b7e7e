"""The stage `training`: throughput and memory of steps, and minutes of gpt on mnist.

A step is the one that a run takes, with batches, gradient norm and optimiser. It is timed after a
few that warm up, or compile. The rows say how often a step waited for the device.
"""

from __future__ import annotations

import shutil
import time
import warnings
from functools import partial
from pathlib import Path

import torch
from parts import Parts, Rows

import arbench
from arbench.data.tasks import open_task
from arbench.errors import ArbenchError
from arbench.measure.speed import synchronize
from arbench.runs.experiment import _Experiment
from arbench.runs.folder import RunFolder
from arbench.runs.request import RunRequest, resolve
from arbench.show.reporting import Reporter
from arbench.training.devices import make_accelerator

WAYS = (("float32", False), ("bfloat16", False), ("bfloat16", True))
WARM_UP, TIMED_S, MOST_STEPS = 5, 5.0, 200
LONGEST_S = 360.0
LEFT_S = 75.0  # for what comes after a training: evaluation, checks, samples
# Of sizes that a CPU can do.
SMALL = {
    "gpt": {"num_layers": 1, "width": 32},
    "pixelsnail": {"num_blocks": 1, "channels": 16},
    "made": {"hidden": 64},
}


def run(parts: Parts) -> None:
    """Make a part for every model and way to compute, and one for gpt."""
    for model in ("made", "gpt", "pixelsnail"):
        for precision, compiled in WAYS:
            if parts.is_small and compiled and model != "made":
                continue  # a compiler for a CPU takes minutes
            way = f"{model}-{precision}{'-compiled' if compiled else ''}"
            parts.make(way, partial(throughput, parts, model, precision, compiled))
    parts.make("gpt-on-mnist", partial(gpt_on_mnist, parts))


def task_of(parts: Parts) -> str:
    """Mnist where its files are, and otherwise the digits that ship with the package."""
    if parts.is_small:
        return "mnist-mini"
    try:
        open_task("mnist").load("test")
    except ArbenchError:
        return "mnist-mini"
    return "mnist"


def throughput(parts: Parts, model: str, precision: str, compiled: bool) -> Rows:
    """Events a second of training steps, and the most memory that they took."""
    task, device = task_of(parts), parts.device
    request = RunRequest(
        task=task,
        model=model,
        overrides=SMALL[model] | {"training.batch_size": 8} if parts.is_small else {},
        device=device.type,
        precision=precision,
        compile=compiled,
        limit=64 if parts.is_small else 5000,
    )
    folder = parts.folder / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        config, dataset = resolve(request, open_task(task))
        accelerator = make_accelerator(device.type, precision)
        experiment = _Experiment(config, dataset, RunFolder(folder), accelerator, Reporter())
        trainer, _ = experiment._prepare()
        trainer._begin()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        warm_up = 1 if parts.is_small else WARM_UP
        began = time.perf_counter()
        for _ in range(warm_up):
            trainer._step(0.5)
        synchronize(device)
        warm_s = time.perf_counter() - began
        waits = waits_of(trainer, device)
        num_steps, began = 0, time.perf_counter()
        while num_steps < (2 if parts.is_small else MOST_STEPS):
            trainer._step(0.5)
            num_steps += 1
            if time.perf_counter() - began > TIMED_S:
                break
        synchronize(device)
        seconds = time.perf_counter() - began
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    batch_size = config.recipe.training.batch_size
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    row = {"task": task, "batch_size": batch_size, "steps": num_steps, "waits": waits}
    row |= {"warm_up_s": warm_s, "events_per_s": batch_size * num_steps / seconds}
    return [row | {"peak_bytes": peak}]


def waits_of(trainer: object, device: torch.device) -> int | None:
    """How often one step waits for the device; None without CUDA."""
    if device.type != "cuda":
        return None
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            trainer._step(0.5)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(each.message) for each in told)


def gpt_on_mnist(parts: Parts) -> Rows:
    """The likelihood that gpt reaches in the time that is left, at most six minutes; with its run.

    The run folder is kept beside, and can be kept as a result.
    """
    out: Path = parts.folder / "runs" / "gpt"
    shutil.rmtree(out, ignore_errors=True)
    if parts.is_small:
        options = {"budget": 5, "limit": 40, "settings": SMALL["gpt"]}
    else:
        left_s = parts.seconds_left - LEFT_S
        if left_s < 30:
            raise TimeoutError("no time is left; say --only gpt-on-mnist")
        options = {"budget": min(LONGEST_S, left_s), "precision": "bfloat16"}
    run = arbench.run(task_of(parts), "gpt", device=parts.device.type, out=out, **options)
    test, training = run.record.likelihood.test, run.record.training
    row = {"task": run.record.task.name, "seconds": training.seconds, "steps": training.steps}
    return [row | {"nats": test.nats_per_event, "standard_error": test.standard_error_nats}]
