"""The model card: a run's `README.md`, made from its record alone."""

from __future__ import annotations

from pathlib import Path

from tabulate import tabulate

from arbench.experiment.files import write_text
from arbench.experiment.folders import RunFolder
from arbench.experiment.records import Record
from arbench.experiment.reporting import duration_text, few_events_note
from arbench.experiment.units import nats_per
from arbench.publish.published import neighbours


def write_card(path: Path) -> None:
    """Write the card of a finished run beside its record."""
    folder = RunFolder(path)
    record = Record.read(folder.record)
    write_text(folder.card, render_card(record, has_picture=(path / "samples.png").exists()))


def render_card(record: Record, *, has_picture: bool) -> str:
    """A record as a model card in Markdown."""
    task, model = record.task, record.model
    picture = "![samples](samples.png)\n" if has_picture else ""
    source = f"\nData: {task.source}\n" if task.source else ""
    part = ""
    if record.limit is not None:
        part = f"\nOnly the first {record.limit:,} events of each split: not comparable.\n"
    few = few_events_note(record.nll["test"].num_events) if "test" in record.nll else ""
    few = f"\n{few}\n" if few else ""
    return f"""# {model.name} on {task.name}
{part}
{picture}
{likelihood_table(record)}
{few}
{speed_table(record)}

{published_table(record)}

{_origin(record)}
* data: {task.name} version {task.version}, sha256 {task.data_sha256}
{source}
{_use(record)}
"""


def _origin(record: Record) -> str:
    """Where the model and its numbers come from, as lines of a list."""
    model, training, machine = record.model, record.training, record.environment
    size = "" if model.num_parameters is None else f"{model.num_parameters:,} parameters, "
    source = " ".join(filter(None, (model.plugin, model.plugin_version)))
    where = f"({machine.cpu}, {machine.threads} threads)"
    if training is not None:
        return f"""* model: {size}head {model.head}, {model.layout}, \
{model.num_members} member(s), from {source}
* training: recipe {training.recipe}, seed {training.seed}, {training.epochs:.4g} epochs \
({training.steps:,} steps, best on validation at step {training.best_step:,}) in \
{training.seconds:.0f} s on {training.device} {where}, {training.precision}"""
    foreign = record.foreign
    assert foreign is not None  # a record says where it comes from
    origin = f", from {source}" if source else ""
    noise = f", {foreign.dequantisation} dequantisation" if foreign.dequantisation else ""
    scale = f", {foreign.log_det_nats:+g} nats per event for the scale of its input"
    return f"""* model: {size}{foreign.object}{origin}, trained elsewhere
* evaluation: on {foreign.device} {where}, seed {foreign.seed}{noise}\
{scale if foreign.log_det_nats else ""}; in batches of another size a log-probability moved by \
{foreign.repeat_nats:.2g} nats at most"""


def _use(record: Record) -> str:
    """How to load what the folder holds, or why that is not possible."""
    if record.foreign is not None:
        return (
            "These numbers are self-reported: the weights are not here, so nobody can compute "
            "them again from this folder."
        )
    return """```python
import arbench

model = arbench.load("PATH OF THIS FOLDER")
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
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


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
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def published_table(record: Record) -> str:
    """This result among the nearest published ones, as Markdown."""
    if "test" not in record.nll:
        return ""
    own = record.nll["test"]
    rows = [
        (r.value, r.model, f"{r.paper} ({r.year})")
        for r in neighbours(record.task.name, own.nats_per_event)
    ]
    if not rows:
        return "No published number is known for this task."
    mark = "this run" if record.limit is None else "this run (a part of the data)"
    rows.append((round(own.nats_per_event, 2), f"**{record.model.name}**", mark))
    headers = ("test nats", "model", "source")
    return tabulate(sorted(rows), headers, tablefmt="github", floatfmt=".2f")
