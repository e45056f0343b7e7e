"""A run's record as text, from its bare JSON: the schema's library is slow to import for a look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from arbench.cli.columns import columns, pairs
from arbench.data.padding import no_likelihood
from arbench.files.plain_text import printable
from arbench.runs.record.binding import unbound_note
from arbench.show.record_notes import CHECK_HEADERS, check_rows, likelihood_notes
from arbench.show.units import bits_text, nats_per, nats_text
from arbench.show.wording import duration_text

FILES = {
    "model.safetensors": "weights",
    "record.json": "what was measured",
    "config.json": "how to build it again",
    "log_probs.safetensors": "one value per test event",
    "metrics.jsonl": "validation over training",
    "README.md": "model card",
    "checkpoint": "where training stands",
}


def record_text(path: Path, record: dict[str, Any]) -> str:
    """Model, data, training, likelihood, speed and files of the run in a folder.

    Raises:
        LookupError, TypeError, ValueError or AttributeError: if that is no record.
    """
    task, foreign, machine = record["task"], record.get("foreign"), record["environment"]
    part = (foreign or record["training"]).get("limit")
    about = [
        ("run", str(path)),
        ("model", _model(record["model"], foreign)),
        ("settings", ", ".join(f"{k}={v}" for k, v in record["model"]["hyperparameters"].items())),
        (
            "data",
            f"{task['name']} (version {task['version']}): {task['num_dims']:,} dims per event, "
            f"sha256 {task['data_sha256'][:12]}",
        ),
        (
            "limit",
            "" if part is None else f"only the first {part:,} events of each split: not comparable",
        ),
        *(_evaluation(foreign) if foreign else _training(path, record["training"])),
        ("binding", unbound_note(path, "sha256" in record) or ""),
        (
            "machine",
            f"{machine['gpu'] or machine['cpu']}, {machine['threads']} CPU thread(s), "
            f"{machine['platform']}, torch {machine['torch']}, arbench {machine['arbench']}",
        ),
    ]
    blocks = [pairs(about)]
    if fault := no_likelihood(record):
        blocks.append(fault)
    elif record["nll"]:
        blocks.append("likelihood\n" + _indented(_likelihood(record)))
    if checks := check_rows(record.get("checks")):
        blocks.append("checks\n" + _indented(columns(checks, CHECK_HEADERS)))
    if record["sampling"]:
        blocks.append("sampling\n" + _indented(_speed(record["sampling"])))
    blocks.append("files\n" + _indented(_files(path)))
    return printable("\n\n".join(blocks))


def _model(model: dict[str, Any], foreign: dict[str, Any] | None) -> str:
    size = model["num_parameters"]
    about = [] if size is None else [f"{size:,} parameters"]
    if foreign:
        source = " ".join(filter(None, (model["plugin"], model["plugin_version"])))
        about += [foreign["object"], *([f"from {source}"] if source else []), "trained elsewhere"]
    else:
        about += [f"head {model['head']}", model["layout"]]
        for what in ("copies", "members"):
            if (number := model.get(f"num_{what}", 1)) > 1:
                about.append(f"{number} {what}")
    return f"{model['name']}: {', '.join(about)}"


def _training(path: Path, training: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (
            "training",
            f"{_status(path, training['status'])}; recipe {training['recipe']}, seed "
            f"{training['seed']}",
        ),
        (
            "length",
            f"{training['epochs']:.4g} epochs, {training['steps']:,} steps (best on validation at "
            f"{training['best_step']:,}), {duration_text(training['seconds'])} on "
            f"{training['device']} in {training['precision']}",
        ),
    ]


def _evaluation(foreign: dict[str, Any]) -> list[tuple[str, str]]:
    noise, scale = foreign["dequantisation"], foreign["log_det_nats"]
    return [
        ("numbers", "self-reported: the weights are not here, so nobody can compute them again"),
        (
            "evaluation",
            f"on {foreign['device']}, seed {foreign['seed']}"
            + (f", {noise} dequantisation" if noise else "")
            + (f", {scale:+g} nats per event for the scale of its input" if scale else "")
            + f"; in other batches it moved by {foreign['repeat_nats']:.2g} nats at most",
        ),
    ]


def _status(path: Path, status: str) -> str:
    if status != "interrupted":
        return status
    return f"interrupted (continue with `arbench run --resume {path}`)"


def _likelihood(record: dict[str, Any]) -> str:
    unit = record["task"]["unit"]
    rows = []
    for split, nll in record["nll"].items():
        events = f"{nll['num_events']:,}"
        rows.append([split, nats_text(unit, nll), bits_text(nll), events, nll["kind"]])
    header = ["split", f"nats/{nats_per(unit)}", f"bits/{unit}", "events", "likelihood"]
    lines = [columns(rows, header)]
    if truth := record.get("truth"):
        lines.append(
            f"paired gap to the true density {truth['gap_nats_per_event']:.4f} ± "
            f"{truth['standard_error_nats']:.4f} nats/event"
        )
    notes = likelihood_notes(record["task"].get("groups", "event"), record["nll"])
    return "\n".join([*lines, *notes])


def _speed(sampling: list[dict[str, Any]]) -> str:
    rows = [
        [
            row["method"] + (" (extrapolated)" if row["extrapolated"] else ""),
            row["device"],
            str(row["batch_size"]),
            f"{row['events_per_s']:,.1f}",
            duration_text(row["median_s"]),
            duration_text(row["iqr_s"]) if row["repeats"] > 1 else "-",
        ]
        for row in sampling
    ]
    return columns(rows, ["sampler", "device", "batch", "events/s", "median time", "iqr"])


def _files(path: Path) -> str:
    rows = [[str(path / name), what] for name, what in FILES.items() if (path / name).exists()]
    rows += [[str(file), "samples"] for file in sorted(path.glob("samples.*"))]
    return columns(rows)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
