"""Evaluates a foreign density and writes its run folder; `repeat_nats`."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import torch
from torch import Tensor

from arbench.data.dataset import Dataset
from arbench.data.repeats import describe_own
from arbench.data.tasks import Split
from arbench.errors import ConfigError, PluginError
from arbench.measure.asking import Measuring
from arbench.measure.environment import describe_environment
from arbench.measure.likelihood import Likelihood, evaluate_log_probs
from arbench.measure.per_event import save_per_event
from arbench.measure.speed import Speed
from arbench.measure.truth import Truth
from arbench.probability.events import Discrete
from arbench.probability.foreign import ForeignDensity
from arbench.probability.randomness import derive_seed, keyed_generator, seeded
from arbench.registry.entries import NAME_PATTERN
from arbench.runs.experiment import Run
from arbench.runs.folder import new_run_folder
from arbench.runs.record.record import (
    ChecksRecord,
    ForeignRecord,
    HashesRecord,
    ModelRecord,
    Record,
    TaskRecord,
)
from arbench.runs.trained_checks import LONG_S, SHORT_S, check_samples
from arbench.show.reporting import Reporter
from arbench.show.samples import NUM_SAMPLES, save_samples

_NUM_REPEATED = 50
_REPEAT_BATCH_SIZE = 7
# How far other batches may move a log-probability: a sum of float32 terms rounds as it grows.
_REPEAT_NATS = 1e-3
_REPEAT_SHARE = 1e-5


def evaluate_foreign(
    density: ForeignDensity,
    dataset: Dataset,
    *,
    name: str,
    out: Path | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Run:
    """Evaluate, sample and time a foreign density, and write down what came out.

    The folder is one of a run but for the weights and their configuration, and its record says so.

    Args:
        density: what to evaluate.
        dataset: on what; a stream through windows of the density's length.
        name: the name of the density in records and on boards.
        out: a new or empty folder; by default a new one under `runs/`.
        seed: the seed of everything that the density draws.
        reporter: receives progress.

    Raises:
        ConfigError: if the name is invalid, the task has other events, or the folder is taken.
        PluginError: if the density breaks its contract, its numbers depend on the batch, or its
            samples do not follow its `log_prob`.
        Diverged: if a log-probability is not finite, or better than the true density.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError(f"{name!r} is no name: use lower-case letters, digits, '.', '_' and '-'")
    task = dataset.task
    if density.spec != task.spec:
        raise ConfigError(f"the density describes {density.spec}, but {task.name} has {task.spec}")
    _distribution(density)  # before any work: the library that the user names is there
    reporter = reporter or Reporter()
    folder = new_run_folder(out, task.name, name)
    for line in describe_own(dataset):
        reporter.say(line)
    with folder.locked(), seeded(derive_seed(seed, "evaluation"), density.device):
        measuring = Measuring(
            density, dataset, subject=name, seed=seed, folder=folder.path, reporter=reporter
        )
        # The test split is read once, after validation has shown that the density keeps its word.
        repeat_nats = _require_sound(density, dataset.split("validation"), measuring)
        measuring.ask(Likelihood())
        if not measuring.refusal(Truth()):
            measuring.ask(Truth())
        with reporter.bar("sampling"):
            samples = density.sample(NUM_SAMPLES, generator=keyed_generator(seed, "samples"))
        checks = _check(density, samples, dataset, measuring)
        measuring.ask(Speed())
        shown, spec = task.rendering, density.spec
        save_samples(folder.path, samples.cpu(), spec, rendering=shown)
        digest = save_per_event(folder.per_event, measuring.values)
        record = _record(density, measuring, repeat_nats, checks, HashesRecord(per_event=digest))
        record = record.write(folder.record)
    return Run(folder.path, record)


def _record(
    density: ForeignDensity,
    measuring: Measuring,
    repeat_nats: float,
    checks: ChecksRecord,
    hashes: HashesRecord,
) -> Record:
    dataset = measuring.dataset
    plugin, version = _distribution(density)
    return Record(
        sha256=hashes,
        task=TaskRecord.from_task(dataset.task, dataset.sha256),
        model=ModelRecord(
            name=measuring.subject,
            plugin=plugin,
            plugin_version=version,
            hyperparameters={},
            head=None,
            layout=None,
            num_parameters=density.num_parameters,
        ),
        foreign=ForeignRecord(
            object=str(density),
            log_det_nats=density.log_det,
            dequantisation=density.dequantisation,
            seed=measuring.seed,
            limit=dataset.limit,
            device=str(density.device),
            repeat_nats=repeat_nats,
        ),
        measurements=measuring.sections,
        checks=checks,
        environment=describe_environment(density.device),
    )


def _require_sound(density: ForeignDensity, validation: Split, measuring: Measuring) -> float:
    """Refuse a density that is random or reads padding.

    Returns:
        How far a log-probability moves, at most, when it is computed again in other batches.

    Raises:
        PluginError: with by how much it moves.
    """
    repeat_nats = _repeat(density, validation, measuring.log_probs("validation"))
    if not validation.is_stream:
        _require_blind_to_padding(density, validation)
    return repeat_nats


def _check(
    density: ForeignDensity, samples: Tensor, dataset: Dataset, measuring: Measuring
) -> ChecksRecord:
    """Whether samples follow `log_prob`, where that can be asked.

    Of events that end, nobody knows here what of a sample stands after its end.
    """
    validation = dataset.split("validation")
    if validation.scored is not None and not validation.is_stream:
        return ChecksRecord()
    return check_samples(
        density,
        samples,
        ChecksRecord(),
        name=measuring.subject,
        seed=measuring.seed,
        seconds=LONG_S if dataset.limit is None else SHORT_S,
        events=validation.events,
        reporter=measuring.reporter,
    )


def _repeat(density: ForeignDensity, split: Split, log_probs: Tensor) -> float:
    """How far a log-probability moves, at most, when it is computed again in other batches."""
    again = evaluate_log_probs(density, split.first(_NUM_REPEATED), batch_size=_REPEAT_BATCH_SIZE)
    moved = (again - log_probs[: len(again)]).abs()
    allowed = _REPEAT_NATS + _REPEAT_SHARE * again.abs()
    if not density.may_be_random and bool((moved > allowed).any()):
        raise PluginError(
            f"{density}.log_prob moves by {moved.max().item():.4f} nats when an event is evaluated "
            "again in a batch of another size: it is random, or depends on the events beside it; "
            "only a bound may be random"
        )
    return moved.max().item()


def _require_blind_to_padding(density: ForeignDensity, split: Split) -> None:
    """Refuse a density to which it matters what is fed and not scored.

    Raises:
        PluginError: with by how much it moves a log-probability.
    """
    part = split.first(_NUM_REPEATED)
    if part.scored is None or bool(part.scored.all()) or density.may_be_random:
        return
    domain, events = density.spec.domain, part.events
    others = (events.long() + 1) % domain.size if isinstance(domain, Discrete) else events + 1
    changed = torch.where(part.scored, events, others.to(events.dtype))
    before = evaluate_log_probs(density, part)
    moved = (evaluate_log_probs(density, Split(changed, part.scored)) - before).abs()
    if bool((moved > _REPEAT_NATS + _REPEAT_SHARE * before.abs()).any()):
        raise PluginError(
            f"{density}.log_prob moves by {moved.max().item():.4f} nats when other values stand "
            "after the end of an event: it reads padding, so its probabilities do not sum to 1"
        )


def _distribution(density: ForeignDensity) -> tuple[str, str]:
    """The distribution that the source comes from, and its version; empty if nobody says.

    Raises:
        ConfigError: if the library that the user names is not installed.
    """
    if density.library is None:
        module = type(density.source).__module__.partition(".")[0]
        found = importlib.metadata.packages_distributions().get(module, [])
        return (found[0], importlib.metadata.version(found[0])) if found else ("", "")
    try:
        return density.library, importlib.metadata.version(density.library)
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError(f"the library {density.library!r} is not installed here") from error
