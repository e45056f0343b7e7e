"""The tables of a record: likelihood, checks, speed, what it was made with.

Console, `arbench show`, card, page and README draw these and nothing else of a record. It comes as
the plain values of its JSON, so that no schema has to be imported for a look. Where in it the
likelihood, the speeds, the truth and other measurements stand, only the first functions know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arbench.data.padding import no_likelihood
from arbench.show.record_notes import likelihood_notes
from arbench.show.tables import Table
from arbench.show.units import bits_text, measured_text, nats_per, nats_text, with_error
from arbench.show.wording import capitalised, duration_text

Values = Mapping[str, Any]
_OF_THEIR_OWN = ("likelihood", "speed", "truth")  # measurements that are drawn otherwise
_PROMISES = {
    "causality": "a site sees earlier ones only",
    "step_equals_forward": "step equals forward",
    "samples_follow": "samples follow log_prob",
}


def likelihood_of(record: Values) -> Mapping[str, Values]:
    """The likelihood of each split in a record; empty where it has none."""
    section = record["measurements"].get("likelihood") or {}
    return {name: section[name] for name in ("validation", "test") if section.get(name)}


def speed_of(record: Values) -> Sequence[Values]:
    """The samplers that were timed, on every machine, one a row; empty where none was."""
    return [
        row
        for key, section in record["measurements"].items()
        if key.partition("?")[0] == "speed"
        for row in section["rows"]
    ]


def record_tables(record: Values) -> list[Table]:
    """All of a record that people look at: what was measured, then what it was made with.

    Args:
        record: of the newest version, as JSON has it.
    """
    return [*measured_tables(record), made_with(record)]


def measured_tables(record: Values) -> list[Table]:
    """What was measured; a table for each measurement that the record has."""
    tables = [
        likelihood_table(record),
        checks_table(record),
        speed_table(speed_of(record)),
        *(
            measurement_table(key, section)
            for key, section in record["measurements"].items()
            if key.partition("?")[0] not in _OF_THEIR_OWN
        ),
    ]
    return [table for table in tables if table.rows or table.notes]


def likelihood_table(record: Values) -> Table:
    """Nats and bits per dim with standard errors, and what to know about them."""
    title = "likelihood"
    if fault := no_likelihood(record):
        return Table(title, notes=[f"{capitalised(fault)}."])
    task, splits = record["task"], likelihood_of(record)
    unit = task["unit"]
    notes = likelihood_notes(task.get("groups", "event"), splits)
    if (truth := record["measurements"].get("truth")) is not None:
        notes.insert(0, truth_note(truth))
    if splits and (part := limit_text(record)):
        notes.insert(0, f"{capitalised(part)}: not comparable.")
    return Table(
        title,
        ("split", f"nats/{nats_per(unit)}", f"bits/{unit}", "events", "kind"),
        [(name, *likelihood_cells(split, unit)) for name, split in splits.items()],
        notes,
    )


def likelihood_cells(split: Values, unit: str, *, digits: int = 3) -> tuple[str, str, str, str]:
    """One split's nats, bits, number of events and kind.

    Args:
        split: its totals and what is made of them, as JSON has them.
        unit: what a dim is called.
        digits: see `units.nats_text`.
    """
    nats = nats_text(unit, split, digits=digits)
    return nats, bits_text(split), f"{split['num_events']:,}", split["kind"]


def limit_text(record: Values) -> str:
    """How much of the data was used, where that is not all."""
    limit = (record.get("foreign") or record["training"]).get("limit")
    return "" if limit is None else f"only the first {limit:,} events of each split"


def truth_note(truth: Values) -> str:
    """How far a density is from the true one, in a sentence."""
    gap = with_error(truth["gap_nats_per_event"], truth["standard_error_nats"], 4)
    true = truth["true_nats_per_event"]
    return f"The true density has {true:.4f} nats/event on test; the paired gap to it is {gap}."


def checks_table(record: Values) -> Table:
    """What was checked of the trained model at its own size."""
    rows = []
    for name, check in (record.get("checks") or {}).items():
        if check is None:
            continue
        value, most = check["value"], check["threshold"]
        promise = _PROMISES.get(name, name) + ("" if value <= most else " FAILED")
        rows.append((promise, f"{value:.2g}", f"{most:g}", check.get("about") or "-"))
    headers = ("promise", "found", "at most", "looked at")
    return Table("checks of the model at its own size", headers, rows)


def speed_table(rows: Sequence[Values]) -> Table:
    """Sampling speed by sampler and batch size; the times are for one batch."""
    return Table(
        "sampling speed",
        ("sampler", "device", "batch", "events/s", "median time", "IQR"),
        [
            (
                row["method"] + (" (extrapolated)" if row["extrapolated"] else ""),
                row["device"],
                f"{row['batch_size']:,}",
                f"{row['events_per_s']:,.1f}",
                duration_text(row["median_s"]),
                duration_text(row["iqr_s"]) if row["repeats"] > 1 else "-",
            )
            for row in rows
        ],
    )


def fastest_text(rows: Sequence[Values]) -> str:
    """The fastest of the samplers that were timed, in a cell."""
    if not rows:
        return "-"
    best = max(rows, key=lambda row: float(row["events_per_s"]))
    return f"{best['events_per_s']:,.0f} ({best['method']}, batch {best['batch_size']})"


def measurement_table(key: str, section: Values) -> Table:
    """Any measurement that has rows of its own, and those of the data alone below them."""
    rows = [_measured_cells(row, row["case"]) for row in section["rows"]]
    baselines = section.get("baselines", ())
    rows += [_measured_cells(row, f"{row['case']} (baseline)") for row in baselines]
    values, groups = section.get("num_values"), section.get("num_groups")
    notes = []
    if groups is not None and groups != values:
        notes.append(f"The standard errors are over {groups:,} independent groups.")
    return Table(key, ("case", "value", "unit", "better"), rows, notes)


def _measured_cells(row: Values, case: str) -> tuple[str, ...]:
    return case, measured_text(row["value"], row.get("error")), row["unit"], row["better"]


def size_text(model: Values) -> str:
    """How many parameters a model has, in a cell."""
    return "-" if model["num_parameters"] is None else f"{model['num_parameters']:,}"


def made_with(record: Values) -> Table:
    """The model, its data, its training or evaluation, and the machine."""
    task, foreign, machine = record["task"], record.get("foreign"), record["environment"]
    settings = record["model"]["hyperparameters"].items()
    data = (
        f"{task['name']} (version {task['version']}): {task['num_dims']:,} dims per event, "
        f"sha256 {task['data_sha256']}"
    )
    rows = [
        ("model", _model(record["model"], foreign)),
        ("settings", ", ".join(f"{name}={value}" for name, value in settings)),
        ("data", data),
        ("source of the data", task.get("source") or ""),
        ("limit", limit_text(record)),
        *(_evaluation(foreign) if foreign else _training(record["training"])),
        (
            "machine",
            f"{machine['gpu'] or machine['cpu']}, {machine['threads']} CPU thread(s), "
            f"{machine['platform']}, torch {machine['torch']}, arbench {machine['arbench']}",
        ),
    ]
    return Table("made with", rows=[row for row in rows if row[1]])


def _model(model: Values, foreign: Values | None) -> str:
    about = [] if model["num_parameters"] is None else [f"{size_text(model)} parameters"]
    if foreign:
        about.append(foreign["object"])
    else:
        about += [f"head {model['head']}", model["layout"]]
        for what in ("copies", "members"):
            if (number := model.get(f"num_{what}", 1)) > 1:
                about.append(f"{number} {what}")
    source = " ".join(filter(None, (model["plugin"], model["plugin_version"])))
    about += [f"from {source}"] * bool(source) + ["trained elsewhere"] * bool(foreign)
    return f"{model['name']}: {', '.join(about)}"


def _training(training: Values) -> list[tuple[str, str]]:
    return [
        (
            "training",
            f"{training['status']}; recipe {training['recipe']}, seed {training['seed']}",
        ),
        (
            "length",
            f"{training['epochs']:.4g} epochs, {training['steps']:,} steps (best on validation at "
            f"{training['best_step']:,}), {duration_text(training['seconds'])} on "
            f"{training['device']} in {training['precision']}",
        ),
    ]


def _evaluation(foreign: Values) -> list[tuple[str, str]]:
    noise, scale = foreign["dequantisation"], foreign["log_det_nats"]
    return [
        ("numbers", "self-reported: the weights are not here, so nobody can compute them again"),
        (
            "evaluation",
            f"on {foreign['device']}, seed {foreign['seed']}"
            + (f", {noise} dequantisation" if noise else "")
            + (f", {scale:+g} nats per event for the scale of its input" if scale else "")
            + "; in batches of another size a log-probability moved by "
            f"{foreign['repeat_nats']:.2g} nats at most",
        ),
    ]
