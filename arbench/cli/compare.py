"""`arbench compare`: paired difference of two runs, with a verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arbench.cli.options import UserPath

if TYPE_CHECKING:
    from arbench.measure.measurement import Measurement
    from arbench.measure.statistics.paired import PairedDifference

# Below, the tails of a test say nothing of the size any more, and floating point ends at 0.
TINY = 1e-12


@click.command()
@click.argument("run_a", type=UserPath(path_type=Path))
@click.argument("run_b", type=UserPath(path_type=Path))
@click.option(
    "--measurement",
    "key",
    metavar="NAME",
    default="likelihood",
    show_default=True,
    help="The number to compare; NAME?SETTING=VALUE for a measurement with settings.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run_a: Path, run_b: Path, key: str, as_json: bool) -> None:
    """Compare RUN_A and RUN_B on the same test events: paired difference and verdict.

    The difference is that of their log-probabilities, or of the measurement that you name. RUN_A
    and RUN_B are runs, or folders of several seeds of one recipe (`arbench run --seeds 5`). With
    three seeds or more on both sides the verdict is about the recipes, otherwise about these
    weights.
    """
    from arbench import api
    from arbench.measure.opening import open_measurement
    from arbench.measure.statistics.paired import FEWEST_GROUPS
    from arbench.measure.statistics.seeds import FEWEST_SEEDS, RecipesDifference

    measurement = None if key == "likelihood" else open_measurement(key)
    result = api.compare(run_a, run_b, measurement=key)
    of_recipes = isinstance(result, RecipesDifference)
    better = run_a if result.nats > 0 else run_b
    if not result.has_enough_groups:
        verdict = f"no verdict: a test needs at least {FEWEST_GROUPS} independent groups of events"
    elif result.p_value < 0.05:
        verdict = f"{better} is better"
    else:
        verdict = "no significant difference at 5 %"
    about = (
        "about these recipes, over their seeds and the test events"
        if of_recipes
        else f"about these weights; a verdict about recipes takes {FEWEST_SEEDS} seeds of each"
    )
    if as_json:
        values = _nats(result) if measurement is None else _values(result, measurement)
        click.echo(json.dumps(values | {"verdict": verdict, "about": about}, indent=1))
        return
    lines = [_difference(result, measurement), *_of_error(result)]
    if isinstance(result, RecipesDifference):
        by_groups, by_seeds = (
            f"{each:.3f}" if measurement is None else f"{each:.2g}"
            for each in (result.error_of_groups, result.error_of_seeds)
        )
        lines.append(
            f"± {by_groups} by the test events, ± {by_seeds} by "
            f"the {result.num_seeds[0]} and {result.num_seeds[1]} seeds"
        )
    click.echo("\n".join([*lines, f"{verdict} ({about})"]))


def _difference(result: PairedDifference, measurement: Measurement | None) -> str:
    """The difference in a line, with what a test makes of it."""
    from arbench.show.wording import measured_text

    p_value = f"p = {result.p_value:.2g}" if result.p_value >= TINY else f"p < {TINY:g}"
    low, high = result.interval
    if measurement is None:
        return (
            f"log p(A) - log p(B) = {result.nats:+.3f} ± {result.standard_error:.3f} nats/event "
            f"over {result.num_events:,} test events (z = {result.z:+.1f}, {p_value}; 95 %: "
            f"{low:+.3f} to {high:+.3f})"
        )
    sign = "+" if result.nats >= 0 else ""
    return (
        f"{measurement.key}: A is better by {sign}"
        f"{measured_text(result.nats, result.standard_error)} {measurement.unit} "
        f"({measurement.better} is better) over {result.num_events:,} values "
        f"(z = {result.z:+.1f}, {p_value}; 95 %: {low:+.4g} to {high:+.4g})"
    )


def _of_error(result: PairedDifference) -> list[str]:
    """Over what the error is, where that is not single events."""
    if result.blocks is not None:
        grows = ", which still grows with their length: a lower bound"
        return [
            f"error over {result.num_groups} blocks of {result.blocks.length:,} symbols"
            + grows * result.blocks.still_growing
        ]
    if result.num_groups != result.num_events:
        return [f"error over {result.num_groups:,} independent groups of events"]
    return []


def _nats(result: PairedDifference) -> dict[str, Any]:
    """What was found of the likelihood, for machines."""
    from arbench.measure.statistics.seeds import RecipesDifference

    values: dict[str, Any] = {
        "difference_nats_per_event": result.nats,
        "standard_error_nats": result.standard_error,
        "interval_nats": result.interval,
        "num_events": result.num_events,
        **_degrees(result),
    }
    if isinstance(result, RecipesDifference):
        values |= {
            "num_seeds": result.num_seeds,
            "error_of_groups_nats": result.error_of_groups,
            "error_of_seeds_nats": result.error_of_seeds,
        }
    return values


def _values(result: PairedDifference, measurement: Measurement) -> dict[str, Any]:
    """What was found of any other measurement, for machines; positive where A is better."""
    from arbench.measure.statistics.seeds import RecipesDifference

    values: dict[str, Any] = {
        "measurement": measurement.key,
        "version": measurement.version,
        "unit": measurement.unit,
        "better": measurement.better,
        "difference": result.nats,
        "standard_error": result.standard_error,
        "interval": result.interval,
        "num_values": result.num_events,
        **_degrees(result),
    }
    if isinstance(result, RecipesDifference):
        values |= {
            "num_seeds": result.num_seeds,
            "error_of_groups": result.error_of_groups,
            "error_of_seeds": result.error_of_seeds,
        }
    return values


def _degrees(result: PairedDifference) -> dict[str, Any]:
    return {
        "num_groups": result.num_groups,
        "degrees_of_freedom": result.degrees,
        "still_growing": result.blocks is not None and result.blocks.still_growing,
        "p_value": result.p_value,
    }
