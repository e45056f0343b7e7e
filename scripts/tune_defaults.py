"""Try candidates for the default recipes of fvsbn, made and nade; see which holds on an unseen set.

    python scripts/tune_defaults.py [--only MODEL] [--runs FOLDER]

Makes the trainings of docs/defaults.toml on each of its sets, one seed, without a look at test.
What docs/defaults.tsv holds already is not trained again. A candidate is one training, or several
of which a set's validation chooses, as a run does among the alternatives of its recipe. Then it
prints, for every model and set, the candidate that the other sets choose, and how much worse it is
on validation than the set's best recipe: the best candidate, or a kept result of the same model.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import arbench
from arbench.boards.results import read_results
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.training.recipes import (
    EnsembleRecipe,
    LayoutRecipe,
    TrainingRecipe,
    options_schema,
)

ROOT = Path(__file__).resolve().parents[1]
DOCS, RECORDS = ROOT / "docs", ROOT / "leaderboards" / "records"
TRIED = DOCS / "defaults.tsv"
COLUMNS = ("model", "set", "training", "nats", "standard_error", "best_epoch", "epochs", "seconds")
KEPT = "kept"


def whole_recipe(model: str, *parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Overrides of every setting, so that nothing of a set's own recipe is left; the last count."""
    network = options_schema(registry().find(ModelEntry, model).load()).model_fields
    values = {f"network.{name}": field.default for name, field in network.items()}
    for section, schema in (
        ("training", TrainingRecipe),
        ("ensemble", EnsembleRecipe),
        ("layout", LayoutRecipe),
    ):
        values |= {f"{section}.{name}": value for name, value in schema().model_dump().items()}
    for part in parts:
        for section, settings in part.items():
            values |= {f"{section}.{name}": value for name, value in settings.items()}
    del values["training.evaluate_test"]
    return values


def train(model: str, task: str, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Train once; what a line of the results says of it."""
    run = arbench.run(task, model, settings=settings, evaluate_test=False, device="cpu", out=folder)
    record, found = run.record, run.record.splits["validation"]
    training = record.training
    assert training is not None
    per_epoch = training.steps / training.epochs
    return {
        "nats": f"{found.nats_per_event:.4f}",
        "standard_error": f"{found.standard_error_nats:.4f}",
        "best_epoch": f"{training.best_step / per_epoch:.1f}",
        "epochs": f"{training.epochs:.1f}",
        "seconds": f"{training.seconds:.1f}",
    }


def read_tried() -> dict[tuple[str, str, str], dict[str, Any]]:
    """The lines of the results by model, set and training."""
    if not TRIED.exists():
        return {}
    with TRIED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {(row["model"], row["set"], row["training"]): row for row in rows}


def write_tried(tried: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> None:
    """Write all lines, in order."""
    with TRIED.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for _, row in sorted(tried.items()))


def leave_one_out(nats: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str, float, str]]:
    """What the other sets would choose for each set.

    Args:
        nats: validation nats per event, by set and by candidate; `KEPT` is no candidate.

    Returns:
        For each set, and at the end for all sets, under the name "": the candidate with the least
        mean excess on the other sets; its excess here, a share of the best recipe's nats (the
        largest, for all); the best recipe here.
    """
    excess = {
        task: {name: value / min(found.values()) - 1 for name, value in found.items()}
        for task, found in nats.items()
    }
    candidates = [name for name in next(iter(nats.values())) if name != KEPT]
    lines = []
    for left_out in [*nats, ""]:
        others = [task for task in nats if task != left_out]
        chosen = min(candidates, key=lambda name: fmean(excess[task][name] for task in others))
        here = [left_out] if left_out else others
        worst = max(excess[task][chosen] for task in here)
        best = min(nats[left_out], key=nats[left_out].__getitem__) if left_out else ""
        lines.append((left_out, chosen, worst, best))
    return lines


def nats_of_candidates(
    model: str,
    plan: Mapping[str, Any],
    tried: Mapping[tuple[str, str, str], Mapping[str, Any]],
) -> dict[str, dict[str, float]]:
    """Validation nats per event by set and candidate, `KEPT` among them where there is such."""
    return {
        task: {
            name: min(float(tried[model, task, own]["nats"]) for own in trainings)
            for name, trainings in plan["candidates"][model].items()
        }
        | kept_nats(model, task)
        for task in plan["sets"]
    }


def kept_nats(model: str, task: str) -> dict[str, float]:
    """The model's best kept result on validation, by the name `KEPT`; nothing if there is none."""
    found = [
        result.record.splits["validation"].nats_per_event
        for result in read_results(RECORDS)
        if (result.record.model.name, result.record.task.name) == (model, task)
    ]
    return {KEPT: min(found)} if found else {}


def print_table(model: str, nats: Mapping[str, Mapping[str, float]]) -> None:
    """Print `leave_one_out` as Markdown."""
    print(f"\n| {model}: left out | others choose | nats | best recipe | nats | worse by |")
    print("|---|---|---|---|---|---|")
    for task, chosen, worst, best in leave_one_out(nats):
        if task:
            here = f"{nats[task][chosen]:.3f} | {best} | {nats[task][best]:.3f}"
            print(f"| {task} | {chosen} | {here} | {worst:.1%} |")
        else:
            print(f"| none | {chosen} | | | | at most {worst:.1%} |")


def main() -> None:
    """Train what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", help="one model instead of all")
    parser.add_argument("--runs", type=Path, help="where run folders go, by default nowhere")
    options = parser.parse_args()
    plan = tomllib.loads((DOCS / "defaults.toml").read_text(encoding="utf-8"))
    models = [options.only] if options.only else list(plan["candidates"])
    tried = read_tried()
    with tempfile.TemporaryDirectory() as nowhere:
        for model in models:
            for name, own in plan["trainings"][model].items():
                settings = whole_recipe(model, {"training": plan["training"]}, own)
                for task in plan["sets"]:
                    if (model, task, name) in tried:
                        continue
                    folder = (options.runs or Path(nowhere)) / f"{model}-{task}-{name}"
                    row = {"model": model, "set": task, "training": name}
                    tried[model, task, name] = row | train(model, task, settings, folder)
                    write_tried(tried)
                    print(*tried[model, task, name].values(), flush=True)
    for model in models:
        print_table(model, nats_of_candidates(model, plan, tried))


if __name__ == "__main__":
    main()
