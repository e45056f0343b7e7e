"""Compress the test split of every task whose files are here; makes leaderboards/compressors.tsv.

    python scripts/compress_tests.py [TASK ...]

Boards show these sizes among the results. Texts are compressed as UTF-8, and count as what they add
to the train and validation splits before them. Everything else is compressed by itself, as the
measurement `compression` does it. Rows of other tasks, or of files that are not here, stay.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arbench.boards.published import COMPRESSOR_COLUMNS, COMPRESSORS
from arbench.data.dataset import Dataset, windows_of
from arbench.data.offline import NotHereError, offline
from arbench.data.pieces import PieceTask
from arbench.data.rendering import Rendering, TextRendering
from arbench.data.tasks import SPLITS, Split, open_task
from arbench.probability.events import Discrete, EventSpec
from arbench.registry.manager import registry
from arbench_compression import baselines

PATH = Path(__file__).resolve().parents[1] / "leaderboards" / COMPRESSORS


def rows(name: str) -> Iterator[dict[str, str]]:
    """What each compressor that is installed makes of the test split of a task."""
    task = open_task(name)
    dataset = Dataset(windows_of(task, 64))  # a stream has a spec only through windows
    spec = dataset.task.spec
    # Of a synthetic task everybody knows the true density.
    has_board = task.public and task.pinned and not task.has_true_log_prob
    if not has_board or not isinstance(spec.domain, Discrete):
        return
    splits = [task.load(split) for split in SPLITS]
    num_dims = splits[-1].num_scored_dims
    if isinstance(task.rendering, TextRendering):
        texts = [_text(split, task.rendering) for split in splits]
        bytes_spec = EventSpec((1,), Discrete(256))
        about = _settings(bytes_spec, task.rendering, "UTF-8, after train and validation")
        whole = baselines.sizes(about, torch.cat(texts), bytes_spec)
        before = baselines.sizes(about, torch.cat(texts[:2]), bytes_spec)
        sizes = {name: int(whole[name] - before[name]) for name in about}
    else:
        events = splits[-1].events
        if splits[-1].scored is not None:
            events = events[splits[-1].scored]
        if isinstance(task, PieceTask):  # step below step, through all pieces
            events = events.view(1, 1, -1, task.step_dims)
        given = "test alone, 8 bits a byte" if spec.domain.size == 2 else "test alone"
        about = _settings(spec, task.rendering, given)
        sizes = {k: int(v) for k, v in baselines.sizes(about, events, spec).items()}
    for compressor, size in sizes.items():
        values = (name, dataset.sha256, num_dims, compressor, size, about[compressor])
        yield dict(zip(COMPRESSOR_COLUMNS, map(str, values), strict=True))


def _settings(spec: EventSpec, rendering: Rendering, given: str) -> dict[str, str]:
    """What every compressor is given, and its settings, in few words."""
    found = {}
    for name, text in baselines.installed(spec, rendering).items():
        form, *settings = text.split("; ")[:-1]  # the last says that it learns as it goes
        found[name] = f"{given}; {settings[0]}" if settings else f"test alone, {form}"
    return found


def _text(split: Split, rendering: TextRendering) -> Tensor:
    """A stream, which is one event, as it is; or words, each on a line. Bytes `(N,)` uint8."""
    end = "" if len(split) == 1 else "\n"
    text = "".join(rendering.decode(event) + end for event in split.events)
    return torch.from_numpy(np.frombuffer(text.encode(), dtype=np.uint8).copy())


def main(names: list[str]) -> None:
    """Compress, and write the file anew."""
    tasks = registry().tasks
    for name in names or [name for name, offer in tasks.items() if offer.entry.argument is None]:
        try:
            with offline():
                found = list(rows(name))
        except NotHereError:
            continue
        print(name, {row["compressor"]: row["num_bytes"] for row in found}, flush=True)
        before = csv.DictReader(PATH.read_text(encoding="utf-8").splitlines(), delimiter="\t")
        kept = [row for row in before if row["task"] != name] + found
        kept.sort(key=lambda row: row["task"])
        with PATH.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COMPRESSOR_COLUMNS, delimiter="\t", lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept)


if __name__ == "__main__":
    main(sys.argv[1:])
