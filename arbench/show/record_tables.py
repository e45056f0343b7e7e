"""The tables of a record: likelihood, checks, speed, what it was made with.

Console, `arbench show`, card, page and README draw these and nothing else of a record. It comes as
the plain values of its JSON, so that no schema has to be imported for a look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arbench.data.padding import no_likelihood
from arbench.data.units import dims_in, nats_per
from arbench.probability.bits import in_nats
from arbench.show.tables import Table
from arbench.show.wording import capitalised, duration_text, measured_text, with_error

Values = Mapping[str, Any]
_OF_THEIR_OWN = ("likelihood", "speed", "truth")  # measurements that are drawn otherwise
_FEW_EVENTS = 200
_ROUNDING_SHARE = 1e-6  # of a log-probability in float32
_PROMISES = {
    "causality": "a site sees earlier ones only",
    "step_equals_forward": "step equals forward",
    "samples_follow": "samples follow log_prob",
    "inverse": "latents lead back to their events",
    "log_det": "log_det is that of the Jacobian",
}


def record_tables(record: Values) -> list[Table]:
    """All of a record that people look at: what was measured, then what it was made with.

    Args:
        record: of the newest version, as JSON has it.
    """
    return [*measured_tables(record), made_with(record)]


def measured_tables(record: Values) -> list[Table]:
    """What was measured; a table for each measurement that the record has.

    Between them stand the checks of the trained model at its own size.
    """
    checks = []
    for name, check in (record.get("checks") or {}).items():
        if check is not None:
            value, most = check["value"], check["threshold"]
            promise = _PROMISES.get(name, name) + ("" if value <= most else " FAILED")
            checks.append((promise, f"{value:.2g}", f"{most:g}", check.get("about") or "-"))
    headers = ("promise", "found", "at most", "looked at")
    named = [
        (key.partition("?")[0], key, section) for key, section in record["measurements"].items()
    ]
    speeds = [row for name, _, section in named if name == "speed" for row in section["rows"]]
    tables = [
        likelihood_table(record),
        Table("checks of the model at its own size", headers, checks),
        speed_table(speeds),
        *(measurement_table(key, part) for name, key, part in named if name not in _OF_THEIR_OWN),
    ]
    return [table for table in tables if table.rows or table.notes]


def likelihood_table(record: Values) -> Table:
    """Nats and bits per dim with standard errors, and what to know about them."""
    title = "likelihood"
    if fault := no_likelihood(record):
        return Table(title, notes=[f"{capitalised(fault)}."])
    section = record["measurements"].get("likelihood") or {}
    splits = {name: section[name] for name in ("validation", "test") if section.get(name)}
    task = record["task"]
    unit = task["unit"]
    notes = likelihood_notes(task.get("groups", "event"), splits)
    if (truth := record["measurements"].get("truth")) is not None:
        notes.insert(0, truth_note(truth))
    if (pieces := section.get("pieces")) is not None:
        notes += pieces_notes(pieces)
    if splits and (part := limit_text(record)):
        notes.insert(0, f"{capitalised(part)}: not comparable.")
    return Table(
        title,
        ("split", f"nats/{nats_per(unit)}", f"bits/{unit}", "events", "kind"),
        [(name, *likelihood_cells(split, unit)) for name, split in splits.items()],
        notes,
    )


def pieces_notes(pieces: Values) -> list[str]:
    """How pieces were scored, and the average that gives all pieces the same weight."""
    means = [
        f"{name} {with_error(mean['nats_per_step'], mean['standard_error_nats'], 4)}"
        for name in ("validation", "test")
        if (mean := pieces.get(name)) is not None
    ]
    context, stride = pieces["context"], pieces["stride"]
    return [
        f"Scored in windows of {context:,} steps, {stride:,} apart; the nats are over all steps.",
        f"Nats/step averaged over pieces, each by its own mean: {', '.join(means)}.",
    ]


def likelihood_cells(split: Values, unit: str, *, digits: int = 3) -> tuple[str, str, str, str]:
    """One split's nats, such as "1.4697 ± 0.0031", its bits per dim, number of events and kind.

    Nats are per what `nats_per` says. One independent group of events has no standard error. That
    of a stream may be a lower bound, if it still grows with the length of its blocks; then it says
    so. A density without bins has no bits, but a dash.

    Args:
        split: its totals and what is made of them, as JSON has them.
        unit: what a dim is called.
        digits: of the nats after the point, per event; per symbol there are four.
    """
    block, bits = split.get("block"), split["bits_per_dim"]
    bits_error = split["standard_error_bits_per_dim"]
    per = nats_per(unit)
    if per == "event":
        nats, error = split["nats_per_event"], split["standard_error_nats"]
    else:
        nats, digits = split["total_nats"] / split["num_dims"] * dims_in(per), 4
        error = None if bits_error is None else in_nats(bits_error) * dims_in(per)
    grows = block is not None and block["still_growing"]
    return (
        with_error(nats, error, digits, still_growing=grows),
        "-" if bits is None else with_error(bits, bits_error, 4, still_growing=grows),
        f"{split['num_events']:,}",
        split["kind"],
    )


def likelihood_notes(group: str, splits: Mapping[str, Values]) -> list[str]:
    """Sentences about likelihoods: no test split, few events, no error; often none.

    Args:
        group: what is independent, a record's `task.groups`.
        splits: the likelihood of each split; empty if the training did not finish.
    """
    notes = []
    if splits and "test" not in splits:
        notes.append(
            "The test split was not evaluated (evaluate_test = false), so there is no test number."
        )
    if (test := splits.get("test")) is not None:
        events, groups, block = test["num_events"], test.get("num_groups"), test.get("block")
        if groups == 1:
            if events != 1:  # of a single event the next note tells
                notes.append(f"All test events are of one {group}, which has no standard error.")
        elif block is not None:
            grows = (
                "; longer blocks would show a larger one, as far as anybody can tell, so it is a "
                "lower bound (still growing)"
            )
            notes.append(
                f"The standard error is over {block['num_blocks']:,} blocks of "
                f"{block['length']:,} symbols{grows * block['still_growing']}."
            )
        elif groups not in (None, events):
            notes.append(
                f"The standard error is over {groups:,} {group}s, of which the events are parts."
            )
        if events == 1:
            notes.append("The test number rests on 1 event only, which has no standard error.")
        elif events < _FEW_EVENTS:
            notes.append(
                f"The test number rests on {events} events only: "
                "so few that its standard error, if any, is a rough guess too."
            )
    equal = [
        name
        for name, split in splits.items()
        if (error := split["standard_error_nats"]) is not None
        and error <= _ROUNDING_SHARE * abs(split["nats_per_event"])
    ]
    if equal:
        notes.append(
            f"The standard error of {' and '.join(equal)} is zero: all those events have one "
            "log-probability, as equal ones do, so it does not say how sure the number is."
        )
    return notes


def limit_text(record: Values) -> str:
    """How much of the data was used, where that is not all."""
    limit = (record.get("foreign") or record["training"]).get("limit")
    return "" if limit is None else f"only the first {limit:,} events of each split"


def truth_note(truth: Values) -> str:
    """How far a density is from the true one, in a sentence."""
    gap = with_error(truth["gap_nats_per_event"], truth["standard_error_nats"], 4)
    true = truth["true_nats_per_event"]
    return f"The true density has {true:.4f} nats/event on test; the paired gap to it is {gap}."


def speed_table(rows: Sequence[Values]) -> Table:
    """Sampling speed by sampler and batch size; the times are for one batch."""
    is_shared = any(row.get("shared") for row in rows)
    return Table(
        "sampling speed",
        ("sampler", "device", "batch", "events/s", "median time", "IQR"),
        [
            (
                row["method"]
                + (", native" if row.get("kernel") == "native" else "")
                + (" (extrapolated)" if row["extrapolated"] else ""),
                row["device"],
                f"{row['batch_size']:,}",
                f"{row['events_per_s']:,.1f}",
                duration_text(row["median_s"]),
                duration_text(row["iqr_s"]) if row["repeats"] > 1 else "-",
            )
            for row in rows
        ],
        ["Other runs were at work meanwhile: boards do not show these times."] * is_shared,
    )


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


def made_with(record: Values) -> Table:
    """The model, its data, its training or evaluation, and the machine."""
    task, model, training = record["task"], record["model"], record["training"]
    foreign, machine = record.get("foreign"), record["environment"]
    about = [] if model["num_parameters"] is None else [f"{model['num_parameters']:,} parameters"]
    if foreign:
        about.append(foreign["object"])
    else:
        # A flow has neither head nor layout.
        about += [f"head {model['head']}", model["layout"]] if model["head"] else ["a flow"]
        for what in ("copies", "members"):
            if (number := model.get(f"num_{what}", 1)) > 1:
                about.append(f"{number} {what}")
    source = " ".join(filter(None, (model["plugin"], model["plugin_version"])))
    about += [f"from {source}"] * bool(source) + ["trained elsewhere"] * bool(foreign)
    settings = model["hyperparameters"].items()
    rows = [
        ("model", f"{model['name']}: {', '.join(about)}"),
        ("settings", ", ".join(f"{name}={value}" for name, value in settings)),
        (
            "data",
            f"{task['name']} (version {task['version']}): {task['num_dims']:,} dims per event, "
            f"sha256 {task['data_sha256']}",
        ),
        ("source of the data", task.get("source") or ""),
        ("limit", limit_text(record)),
    ]
    if foreign:
        rows += _evaluation(foreign)
    else:
        rows += [
            (
                "training",
                f"{training['status']}; recipe {training['recipe']}, seed {training['seed']}",
            ),
            (
                "length",
                f"{training['epochs']:.4g} epochs, {training['steps']:,} steps (best on validation "
                f"at {training['best_step']:,}), {duration_text(training['seconds'])} on "
                f"{training['device']} in {training['precision']}",
            ),
        ]
    rows.append(
        (
            "machine",
            f"{machine['gpu'] or machine['cpu']}, {machine['threads']} CPU thread(s), "
            f"{machine['platform']}, torch {machine['torch']}, arbench {machine['arbench']}",
        )
    )
    return Table("made with", rows=[row for row in rows if row[1]])


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
