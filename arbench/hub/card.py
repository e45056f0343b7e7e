"""The model card: the `README.md` of a run folder."""

from __future__ import annotations

from pathlib import Path

from arbench.boards.published import published_table
from arbench.files.atomic import write_text
from arbench.hub.card_curve import curve_table
from arbench.hub.card_metadata import front_matter
from arbench.runs.folder import RunFolder
from arbench.runs.loading import check_bound
from arbench.runs.record.record import Record
from arbench.show.escaping import markdown, preformatted
from arbench.show.record_tables import made_with, measured_tables
from arbench.show.tables import as_markdown

_SAMPLE_LINES = 20


def write_card(path: Path, load_as: str | None = None) -> None:
    """Write the card of a finished run beside its record.

    Args:
        path: the run folder.
        load_as: the name that others load it by; None if it has no name but its folder.
    """
    write_text(RunFolder(path).card, card_of(path, load_as))


def card_of(path: Path, load_as: str | None = None) -> str:
    """The card of a finished run, for people and for machines.

    Raises:
        DataError: if the run has no record, or its files are damaged.
        CheckpointError: if its files are not those of its record.
    """
    folder = RunFolder(path)
    record = Record.read(folder.record)
    check_bound(path, record)
    return front_matter(record) + render_card(
        record,
        samples=_samples(path),
        curve=curve_table(folder.metrics, record.task.unit, record.sha256.metrics),
        load_as=load_as,
    )


def render_card(
    record: Record, *, samples: str = "", curve: str = "", load_as: str | None = None
) -> str:
    """A record as Markdown.

    Args:
        record: of a run.
        samples: how samples are shown, Markdown.
        curve: the training curve, Markdown.
        load_as: see `write_card`.
    """
    fault = record.no_likelihood
    published = None if fault else published_table(record)
    values = record.model_dump(mode="json")
    blocks = [
        f"# {markdown(record.model.name)} on {markdown(record.task.name)}",
        samples,
        *map(as_markdown, measured_tables(values)),
        "" if published is None else as_markdown(published),
        f"## Training curve, nats per event\n\n{curve}" if curve and not fault else "",
        as_markdown(made_with(values)),
        "" if record.foreign else _use(load_as),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _samples(path: Path) -> str:
    """How a card shows the samples in a run folder: a picture, some lines, or a link to a sound."""
    if (path / "samples.png").exists():
        return "![samples](samples.png)"
    if (path / "samples.txt").exists():
        lines = (path / "samples.txt").read_text("utf-8", errors="replace").splitlines()
        return f"Samples:\n\n{preformatted(chr(10).join(lines[:_SAMPLE_LINES]))}"
    others = [f"samples.{kind}" for kind in ("csv", "wav") if (path / f"samples.{kind}").exists()]
    return "\n".join(f"Samples: [{name}]({name})" for name in others)


def _use(load_as: str | None) -> str:
    """How to load what the folder holds."""
    return f"""## How to load it

```python
import arbench

model = arbench.load("{load_as or "PATH OF THIS FOLDER"}")
samples = arbench.sample(model, 16)
```"""
