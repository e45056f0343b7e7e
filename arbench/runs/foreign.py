"""Evaluates a foreign density and writes its run folder; `repeat_nats`."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import torch
from torch import Tensor

from arbench.data.dataset import Dataset
from arbench.data.repeats import describe_own
from arbench.data.tasks import Split, SplitName
from arbench.errors import ConfigError, PluginError
from arbench.measure.environment import describe_environment
from arbench.measure.evaluation import (
    evaluate_log_probs,
    nll_of,
    scored_windows,
)
from arbench.measure.log_probs import LogProbs
from arbench.measure.sections import SplitRecord
from arbench.measure.speed import SPEED_BATCH_SIZES, measure_sampling
from arbench.measure.truth import compare_with_truth
from arbench.probability.density import Density
from arbench.probability.events import Discrete
from arbench.probability.foreign import ForeignDensity, seeded
from arbench.probability.randomness import derive_seed, keyed_generator
from arbench.registry.entries import NAME_PATTERN
from arbench.runs.experiment import Run
from arbench.runs.folder import new_run_folder
from arbench.runs.measuring import sections
from arbench.runs.record.record import (
    ChecksRecord,
    ForeignRecord,
    HashesRecord,
    ModelRecord,
    Record,
    TaskRecord,
)
from arbench.runs.trained_checks import LONG_S, SHORT_S, check_samples, scale_of
from arbench.show.reporting import Reporter
from arbench.show.samples import NUM_SAMPLES, default_name, save_samples

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
        name: what records and boards call the density.
        out: the folder, new or empty; by default a new one under `runs/`.
        seed: of whatever the density draws at random.
        reporter: who is told of progress.

    Raises:
        ConfigError: if the name is none, the task has other events, or the folder is taken.
        PluginError: if the density breaks its contract, its numbers depend on the batch, or its
            samples do not follow its `log_prob`.
        Diverged: if a log-probability is not finite, or better than the true density.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError(f"{name!r} is no name: use lower-case letters, digits, '.', '_' and '-'")
    task, limit = dataset.task, dataset.limit
    if density.spec != task.spec:
        raise ConfigError(f"the density describes {density.spec}, but {task.name} has {task.spec}")
    plugin, version = _distribution(density)
    reporter = reporter or Reporter()
    folder = new_run_folder(out, task.name, name)
    for line in describe_own(dataset):
        reporter.say(line)
    with folder.locked(), seeded(derive_seed(seed, "evaluation"), density.device):
        validation = dataset.split("validation")
        seen = _evaluate(density, "validation", validation, reporter)
        repeat_nats = _repeat(density, validation, seen)
        if not validation.is_stream:
            _require_blind_to_padding(density, validation)
        # The test split is read once, after validation has shown that the density keeps its word.
        test = dataset.split("test")
        log_probs = _evaluate(density, "test", test, reporter)
        truth = compare_with_truth(name, task, test, log_probs)
        with reporter.bar("sampling"):
            samples = density.sample(NUM_SAMPLES, generator=keyed_generator(seed, "samples"))
        checks = ChecksRecord()
        # Of events that end, nobody knows here what of a sample stands after its end.
        if validation.scored is None or validation.is_stream:
            checks = check_samples(
                density,
                samples,
                checks,
                name=name,
                seed=seed,
                seconds=LONG_S if limit is None else SHORT_S,
                scale=scale_of(validation.events),
                reporter=reporter,
            )
        with reporter.bar("timing", live=False) as advance:
            sampling = measure_sampling(
                density,
                methods=density.samplers,
                batch_sizes=SPEED_BATCH_SIZES,
                progress=advance,
            )
        picture = folder.path / default_name(task.rendering)
        save_samples(picture, samples.cpu(), density.spec, rendering=task.rendering)
        digest = LogProbs(log_probs, test.groups).save(folder.per_event)
        environment = describe_environment(density.device)
        splits = {
            "validation": _nll(density, validation, seen),
            "test": _nll(density, test, log_probs),
        }
        record = Record(
            sha256=HashesRecord(per_event=digest),
            task=TaskRecord.from_task(task, dataset.sha256),
            model=ModelRecord(
                name=name,
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
                seed=seed,
                limit=limit,
                device=str(density.device),
                repeat_nats=repeat_nats,
            ),
            measurements=sections(
                environment, splits, scored_windows(dataset.windows), truth, sampling
            ),
            checks=checks,
            environment=environment,
        ).sealed()
        record.write(folder.record)
    return Run(folder.path, record)


def _evaluate(density: Density, name: SplitName, split: Split, reporter: Reporter) -> Tensor:
    with reporter.bar(f"evaluating {name}") as advance:
        return evaluate_log_probs(density, split, progress=advance)


def _nll(density: Density, split: Split, log_probs: Tensor) -> SplitRecord:
    return SplitRecord.from_nll(nll_of(log_probs, split, density.spec.domain), density.kind)


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
