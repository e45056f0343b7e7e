"""The model card: a run's `README.md`, made from what else is in its folder."""

from __future__ import annotations

from pathlib import Path

from tabulate import tabulate

from arbench.boards.published import nats_of, neighbours
from arbench.files.atomic import write_text
from arbench.hub.card_curve import curve_table
from arbench.hub.card_metadata import front_matter
from arbench.runs.folder import RunFolder
from arbench.runs.loading import check_bound
from arbench.runs.record.record import ModelRecord, Record
from arbench.show.escaping import markdown, markdown_table, preformatted
from arbench.show.record_notes import CHECK_HEADERS, check_rows
from arbench.show.units import nats_per
from arbench.show.wording import duration_text

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
    task, model = record.task, record.model
    part = ""
    if record.limit is not None:
        part = f"Only the first {record.limit:,} events of each split: not comparable."
    fault = record.no_likelihood
    blocks = [
        f"# {markdown(model.name)} on {markdown(task.name)}",
        part,
        samples,
        *(
            (f"**{markdown(fault[0].upper() + fault[1:])}.**",)
            if fault
            else (likelihood_table(record), *record.notes(markdown))
        ),
        checks_table(record),
        speed_table(record) if record.sampling else "",
        "" if fault else published_table(record),
        f"Training curve, nats per event:\n\n{curve}" if curve and not fault else "",
        f"{_origin(record)}\n* data: {markdown(task.name)} version {markdown(task.version)}, "
        f"sha256 {task.data_sha256}",
        f"Data: {markdown(task.source)}" if task.source else "",
        _use(record, load_as),
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


def _counted(model: ModelRecord) -> str:
    copies = f"{model.num_copies} copies of the network, " if model.num_copies > 1 else ""
    return f"{copies}{model.num_members} member(s)"


def _origin(record: Record) -> str:
    """Where the model and its numbers come from, as lines of a list."""
    model, training, machine = record.model, record.training, record.environment
    size = "" if model.num_parameters is None else f"{model.num_parameters:,} parameters, "
    source = markdown(" ".join(filter(None, (model.plugin, model.plugin_version))))
    where = f"({markdown(machine.cpu)}, {machine.threads} threads)"
    if training is not None:
        return f"""* model: {size}head {markdown(model.head or "none")}, \
{markdown(model.layout or "no layout")}, \
{_counted(model)}, from {source}
* training: recipe {markdown(training.recipe)}, seed {training.seed}, {training.epochs:.4g} epochs \
({training.steps:,} steps, best on validation at step {training.best_step:,}) in \
{training.seconds:.0f} s on {markdown(training.device)} {where}, \
{markdown(training.precision)}"""
    foreign = record.foreign
    assert foreign is not None  # a record says where it comes from
    origin = f", from {source}" if source else ""
    noise = f", {markdown(foreign.dequantisation)} dequantisation" if foreign.dequantisation else ""
    scale = f", {foreign.log_det_nats:+g} nats per event for the scale of its input"
    return f"""* model: {size}{markdown(foreign.object)}{origin}, trained elsewhere
* evaluation: on {markdown(foreign.device)} {where}, seed {foreign.seed}{noise}\
{scale if foreign.log_det_nats else ""}; in batches of another size a log-probability moved by \
{foreign.repeat_nats:.2g} nats at most"""


def _use(record: Record, load_as: str | None) -> str:
    """How to load what the folder holds, or why that is not possible."""
    if record.foreign is not None:
        return (
            "These numbers are self-reported: the weights are not here, so nobody can compute "
            "them again from this folder."
        )
    return f"""```python
import arbench

model = arbench.load("{load_as or "PATH OF THIS FOLDER"}")
samples = arbench.sample(model, 16)
```"""


def likelihood_table(record: Record) -> str:
    """Nats and bits per dim with standard errors, per split, as Markdown."""
    unit = record.task.unit
    rows = [
        (
            split,
            nll.nats_text(unit, digits=2),
            nll.bits_text,
            nll.num_events,
            nll.kind,
        )
        for split, nll in record.nll.items()
    ]
    headers = ("split", f"nats/{nats_per(unit)}", f"bits/{unit}", "events", "kind")
    return markdown_table(rows, headers)


def checks_table(record: Record) -> str:
    """What was checked of the trained model, as Markdown; empty if nothing was."""
    rows = check_rows(record.checks.model_dump() if record.checks else None)
    if not rows:
        return ""
    rows = [[*found, markdown(about)] for *found, about in rows]
    return tabulate(rows, CHECK_HEADERS, tablefmt="github", disable_numparse=True)


def speed_table(record: Record) -> str:
    """Sampling speed by sampler and batch size, as Markdown; the times are for one batch."""
    rows = [
        (
            row.method + (" (extrapolated)" if row.extrapolated else ""),
            row.batch_size,
            row.device,
            f"{row.events_per_s:,.1f}",
            duration_text(row.median_s),
            duration_text(row.iqr_s) if row.repeats > 1 else "-",
        )
        for row in record.sampling
    ]
    headers = ("sampler", "batch", "device", "events/s", "median time", "IQR")
    return markdown_table(rows, headers)


def published_table(record: Record) -> str:
    """This result among the nearest published ones, as Markdown."""
    if "test" not in record.nll:
        return ""
    rows = [
        (row.nats, markdown(row.result.model), markdown(row.result.source))
        for row in neighbours(record)
    ]
    if not rows:
        return "No published number is known for this task."
    mark = "this run" if record.limit is None else "this run (a part of the data)"
    rows.append((nats_of(record), f"**{markdown(record.model.name)}**", mark))
    per = nats_per(record.task.unit)
    header, digits = ("test nats", ".2f") if per == "event" else (f"test nats/{per}", ".4f")
    headers = (header, "model", "source")
    return tabulate(sorted(rows), headers, tablefmt="github", floatfmt=digits)
