"""The model card, the `README.md` of a run folder, with its YAML front matter (`model-index`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from arbench.boards.curves import curve_table
from arbench.boards.published import published_table
from arbench.data.units import dims_in, kind_of, nats_per
from arbench.files.atomic import write_text
from arbench.runs.folder import CARD, RECORD
from arbench.runs.loading import check_bound
from arbench.runs.record.record import Record
from arbench.show.escaping import markdown, preformatted, printable
from arbench.show.pictures import pictures_of, shown_of
from arbench.show.record_tables import made_with, measured_tables
from arbench.show.tables import as_markdown

# The Hub's words for what a model of such data does.
_HUB_TASKS = {"image": "unconditional-image-generation", "text": "text-generation"}
_SAMPLE_LINES = 20
_USE = """## How to load it

```python
import arbench

model = arbench.load("{load_as}")
samples = arbench.sample(model, 16)
```"""


def write_card(path: Path, record: Record | None = None, *, load_as: str | None = None) -> None:
    """Write the card of a finished run beside its record; see `card_of`."""
    write_text(path / CARD, card_of(path, record, load_as=load_as))


def card_of(
    path: Path,
    record: Record | None = None,
    *,
    load_as: str | None = None,
    metadata: Mapping[str, object] | None = None,
) -> str:
    """The card of a finished run, for people and for machines.

    Args:
        path: the run folder, for its samples, its training curve and pictures of measurements.
        record: of a run that has just been measured; None reads it, and holds files against it.
        load_as: the name that others load it by; None if it has no name but its folder.
        metadata: what else it says to machines, such as a licence.

    Raises:
        DataError: if the run has no record, or its files are damaged.
        CheckpointError: if its files are not those of its record.
    """
    if record is None:
        record = Record.read(path / RECORD)
        check_bound(path, record)
    front = with_metadata({**card_metadata(record), **(metadata or {})}, "")
    samples = [f"samples.{kind}" for kind in ("png", "txt", "csv", "wav", "mid")]
    samples = [name for name in samples if (path / name).exists()]
    links = "\n".join(f"Samples: [{name}]({name})" for name in samples if name != "samples.png")
    if "samples.png" in samples:
        shown = f"![samples](samples.png)\n\n{links}".rstrip()  # links to what can be heard
    elif "samples.txt" in samples:
        lines = (path / "samples.txt").read_text("utf-8", errors="replace").splitlines()
        shown = f"Samples:\n\n{preformatted(chr(10).join(lines[:_SAMPLE_LINES]))}"
    else:
        shown = links
    values = record.model_dump(mode="json")
    curve = curve_table(path, record)
    about = [
        published_table(record),
        curve if curve.rows and not record.no_likelihood else None,
        made_with(values),
    ]
    blocks = [
        f"# {markdown(record.model.name)} on {markdown(record.task.name)}",
        shown,
        *map(as_markdown, measured_tables(values)),
        _pictures(path, values["measurements"]),
        *map(as_markdown, filter(None, about)),
        "" if record.foreign else _USE.format(load_as=load_as or "PATH OF THIS FOLDER"),
    ]
    return front + "\n\n".join(filter(None, blocks)) + "\n"


def _pictures(path: Path, sections: Mapping[str, Any]) -> str:
    """The pictures of measurements, a paragraph each; empty if there are none."""
    shown = [
        f"![{markdown(f'{key}: {file.stem}')}]({file.relative_to(path).as_posix()})"
        for key, files in pictures_of(path, sections).items()
        for file in shown_of(files)
    ]
    return "\n\n".join(["## Pictures of measurements", *shown] if shown else [])


def card_metadata(record: Record) -> dict[str, Any]:
    """What the card of a run says to machines; its result is what the Hub calls `model-index`.

    A result on a part of the data is comparable to nothing, and what is no likelihood is no result:
    neither is an entry there.

    Source: the Hub's model card specification, https://github.com/huggingface/hub-docs,
    modelcard.md.
    """
    task, model = record.task, record.model
    metadata: dict[str, Any] = {
        "library_name": "arbench",
        "tags": ["arbench", "autoregressive", "density-estimation", model.name],
    }
    hub_task = _HUB_TASKS.get(kind_of(task.unit))
    if hub_task is not None:
        metadata["pipeline_tag"] = hub_task
    if record.no_likelihood or "test" not in record.splits or record.limit is not None:
        return metadata
    test, per = record.splits["test"], nats_per(task.unit)
    by_dims = test.total_nats / test.num_dims * dims_in(per)
    nats = test.nats_per_event if per == "event" else by_dims
    metrics = [{"type": f"nats_per_{per}", "name": f"{test.kind} nats per {per}", "value": nats}]
    if test.bits_per_dim is not None:
        name = f"{test.kind} bits per {task.unit}"
        bits = {"type": f"bits_per_{task.unit}", "name": name, "value": test.bits_per_dim}
        metrics.append(bits)
    result = {
        "task": {
            "type": hub_task or "other",
            "name": "density estimation",
        },
        "dataset": {
            "type": task.name,
            "name": f"{task.name} version {task.version}",
            "split": "test",
            "revision": task.data_sha256,
        },
        "metrics": metrics,
    }
    index = [{"name": f"{model.name} on {task.name}", "results": [result]}]
    return metadata | {"model-index": index}


def with_metadata(metadata: Mapping[str, object], text: str) -> str:
    """A page of the Hub: YAML between dashes, then Markdown."""
    front: str = yaml.safe_dump({**metadata}, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{printable(front)}---\n{text}"
