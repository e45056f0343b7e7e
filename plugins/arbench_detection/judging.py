"""What `arbench score` finds of files of the user's own, event by event."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch

from arbench import (
    ArbenchError,
    DataError,
    Density,
    Discrete,
    Handed,
    OpenedRun,
    Reporter,
    atomic_path,
    cache_dir,
    in_bits,
    read_npz,
    writing_cache,
)
from arbench_detection import others
from arbench_detection.evaluation import Progress, log_probs
from arbench_detection.own import Read
from arbench_detection.scores import Reference

NUM_TRAIN, NUM_TRAIN_WINDOWS = 1000, 200
_FORM = "1"  # of what is kept; changes whenever it would be other numbers
HEADER = ("file", "event", "num_dims", "log_prob", "bits_per_dim", "typicality", "p_value")


@dataclass(frozen=True)
class Verdict:
    """What a model finds of one event, or of a text or sound as a whole.

    Attributes:
        file: that it is in.
        event: its place in the file, from 0; None where the file is one event.
        num_dims: how many are scored.
        log_prob: nats.
        bits_per_dim: None for real dims without a bin.
        typicality: how far -log p is from the mean of validation events, nats; of a text or a
            sound, of so many dims of them. None where the run's data are not here.
        p_value: its rank among train events; None there too, and for a text or a sound.
    """

    file: str
    event: int | None
    num_dims: int
    log_prob: float
    bits_per_dim: float | None
    typicality: float | None
    p_value: float | None


@dataclass(frozen=True)
class Typical:
    """What is typical of a run's events, and how many scored dims each of them has on average."""

    reference: Reference
    num_dims: float


def typical_of(run: OpenedRun, task: str | None, reporter: Reporter) -> Typical:
    """What is typical of the events of a run; it is kept, so the data are needed once.

    Raises:
        ArbenchError: if the data are not here.
    """
    num_train = NUM_TRAIN if run.windows is None else NUM_TRAIN_WINDOWS
    key = "\0".join((_FORM, str(num_train), *(run.sha256[each] for each in ("config", "weights"))))
    path = cache_dir() / "typical" / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"
    with suppress(DataError):  # none yet, or damaged
        kept = read_npz(path, ["log_probs", "entropy", "num_dims"])
        reference = Reference(torch.from_numpy(kept["log_probs"]), float(kept["entropy"]))
        return Typical(reference, float(kept["num_dims"]))
    dataset = Handed(run.dataset(task), "score", ("train", "validation"))
    unseen = dataset.split("validation")
    unseen = others.evenly(unseen, others.comparable(unseen, dataset), num_train)
    train = others.typical_events(dataset.training_events(), unseen, dataset, num_train)
    with reporter.bar("scoring train events") as advance:
        progress = Progress(advance, len(train) + len(unseen))
        found = [log_probs(run.density, each, progress) for each in (train, unseen)]
    typical = Typical(Reference.of(*found), unseen.scored_dims.double().mean().item())
    try:
        with writing_cache(path.parent), atomic_path(path) as temporary, open(temporary, "wb") as f:
            np.savez(
                f,
                log_probs=typical.reference.log_probs.numpy(),
                entropy=np.array(typical.reference.entropy),
                num_dims=np.array(typical.num_dims),
            )
    except ArbenchError as error:
        reporter.say(f"train events will be scored again next time: {error}")
    return typical


def verdicts(
    density: Density, read: Read, typical: Typical | None, reporter: Reporter
) -> list[Verdict]:
    """What a density finds of everything that was read."""
    whole = read.split
    with reporter.bar("scoring") as advance:
        found = log_probs(density, whole, Progress(advance, len(whole)))
    dims = whole.scored_dims
    made, start = [], 0
    for part in read.parts:
        rows = slice(start, start + len(part.split))
        start += len(part.split)
        if part.holds == "windows":
            nats, count = -found[rows].sum().item(), int(dims[rows].sum())
            share = None if typical is None else count / typical.num_dims
            made.append(_verdict(density, part.file, None, count, nats, typical, share))
            continue
        for place, (log_prob, count) in enumerate(
            zip(found[rows].tolist(), dims[rows].tolist(), strict=True)
        ):
            event = None if part.holds == "one" else place
            made.append(_verdict(density, part.file, event, count, -log_prob, typical, None))
    return made


def _verdict(
    density: Density,
    file: str,
    event: int | None,
    num_dims: int,
    nats: float,
    typical: Typical | None,
    share: float | None,
) -> Verdict:
    """Of one event, or of a text or sound that is a `share` of a train event in length."""
    domain, bits = density.spec.domain, None
    if isinstance(domain, Discrete):
        bits = in_bits(nats / num_dims)
    elif domain.bin_width is not None:
        bits = in_bits(nats / num_dims - math.log(domain.bin_width))
    typicality = p_value = None
    if typical is not None:
        expected = typical.reference.entropy * (1.0 if share is None else share)
        typicality = abs(nats - expected)
        if share is None:
            one = torch.tensor([-nats], dtype=torch.float64)
            p_value = typical.reference.p_values(one).item()
    return Verdict(file, event, num_dims, -nats, bits, typicality, p_value)


def as_csv(found: list[Verdict]) -> str:
    """A line for each verdict; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for verdict in found:
        writer.writerow(["" if cell is None else cell for cell in astuple(verdict)])
    return text.getvalue()


def as_text(found: list[Verdict], most: int) -> str:
    """The first verdicts as aligned columns, for people."""
    heads = ("file", "nats", "bits/dim", "typicality", "p-value")
    rows = [heads, *(_cells(verdict) for verdict in found[:most])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    if len(found) > most:
        lines.append(f"... and {len(found) - most:,} more")
    return "\n".join(lines)


def _cells(verdict: Verdict) -> tuple[str, ...]:
    name = verdict.file if verdict.event is None else f"{verdict.file}:{verdict.event}"
    numbers = (
        (-verdict.log_prob, ".2f"),
        (verdict.bits_per_dim, ".4f"),
        (verdict.typicality, ".2f"),
        (verdict.p_value, ".4f"),
    )
    return (
        printable(name),
        *("-" if number is None else format(number, form) for number, form in numbers),
    )


def printable(text: str) -> str:
    """The text without what a terminal would act upon, as names of files may hold."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def write_csv(found: list[Verdict], path: Path) -> None:
    """Write the verdicts into a file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(as_csv(found), encoding="utf-8", errors="backslashreplace")
