"""The model card: the `README.md` of a run folder."""

from __future__ import annotations

from pathlib import Path

from arbench.boards.curves import read_curve
from arbench.boards.published import published_table
from arbench.files.atomic import write_text
from arbench.hub.card_metadata import front_matter
from arbench.runs.folder import CARD, RECORD
from arbench.runs.loading import check_bound
from arbench.runs.record.record import Record
from arbench.show.escaping import markdown, preformatted
from arbench.show.record_tables import made_with, measured_tables
from arbench.show.tables import Table, as_markdown
from arbench.training.checkpoints import METRICS

_SAMPLE_LINES = 20
_MOST_CURVE_ROWS = 8
_USE = """## How to load it

```python
import arbench

model = arbench.load("{load_as}")
samples = arbench.sample(model, 16)
```"""


def write_card(path: Path, record: Record | None = None, *, load_as: str | None = None) -> None:
    """Write the card of a finished run beside its record; see `card_of`."""
    write_text(path / CARD, card_of(path, record, load_as=load_as))


def card_of(path: Path, record: Record | None = None, *, load_as: str | None = None) -> str:
    """The card of a finished run, for people and for machines.

    Args:
        path: the run folder.
        record: of a run that has just been measured; None reads it, and holds files against it.
        load_as: the name that others load it by; None if it has no name but its folder.

    Raises:
        DataError: if the run has no record, or its files are damaged.
        CheckpointError: if its files are not those of its record.
    """
    if record is None:
        record = Record.read(path / RECORD)
        check_bound(path, record)
    return front_matter(record) + render_card(
        record,
        samples=_samples(path),
        curve=curve_table(path / METRICS, record.task.unit, record.sha256.metrics),
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
        load_as: see `card_of`.
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
        "" if record.foreign else _USE.format(load_as=load_as or "PATH OF THIS FOLDER"),
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


def curve_table(metrics: Path, unit: str, sha256: str | None = None) -> str:
    """The curve in a run's `metrics.jsonl`, as Markdown; empty where there is none.

    The first and the last evaluation are in it, and others evenly between.

    Raises:
        DataError: if the file is damaged.
    """
    points = read_curve(metrics, sha256)
    if not points:
        return ""
    count = min(len(points), _MOST_CURVE_ROWS)
    rows = []
    for number in range(count):
        point = points[(len(points) - 1) * number // max(count - 1, 1)]
        train, bits = point.train_nats_per_event, point.validation_bits_per_dim
        rows.append(
            (
                f"{point.step:,}",
                f"{point.epoch:.3g}",
                "-" if train is None else f"{train:.2f}",
                f"{point.validation_nats_per_event:.2f}",
                "-" if bits is None else f"{bits:.4f}",
                f"{point.seconds:,.0f} s",
            )
        )
    headers = ("step", "epoch", "train nats", "validation nats", f"validation bits/{unit}", "time")
    return as_markdown(Table("", headers, rows))
