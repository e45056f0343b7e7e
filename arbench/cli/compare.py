"""`arbench compare`: is one run better than another, or is it luck?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from arbench.cli.paths import UserPath

if TYPE_CHECKING:
    from arbench.measure.statistics.metrics import PairedDifference

# Below, the tails of a test say nothing of the size any more, and floating point ends at 0.
TINY = 1e-12


@click.command()
@click.argument("run_a", type=UserPath(path_type=Path))
@click.argument("run_b", type=UserPath(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run_a: Path, run_b: Path, as_json: bool) -> None:
    """Paired difference of per-event test log-probabilities of RUN_A and RUN_B, with a verdict.

    Each is a run, or a folder of the seeds of one recipe (`arbench run --seeds 5`). The verdict is
    about these weights; with three seeds or more on both sides it is about the recipes.
    """
    from arbench import api
    from arbench.measure.statistics.metrics import FEWEST_GROUPS
    from arbench.measure.statistics.seeds import FEWEST_SEEDS, RecipesDifference

    result = api.compare(run_a, run_b)
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
        click.echo(json.dumps(_values(result) | {"verdict": verdict, "about": about}, indent=1))
        return
    p_value = f"p = {result.p_value:.2g}" if result.p_value >= TINY else f"p < {TINY:g}"
    low, high = result.interval
    lines = [
        f"log p(A) - log p(B) = {result.nats:+.3f} ± {result.standard_error:.3f} nats/event over "
        f"{result.num_events:,} test events (z = {result.z:+.1f}, {p_value}; 95 %: {low:+.3f} to "
        f"{high:+.3f})"
    ]
    if result.blocks is not None:
        grows = ", which still grows with their length: a lower bound"
        lines.append(
            f"error over {result.num_groups} blocks of {result.blocks.length:,} symbols"
            + grows * result.blocks.still_growing
        )
    elif result.num_groups != result.num_events:
        lines.append(f"error over {result.num_groups:,} independent groups of events")
    if isinstance(result, RecipesDifference):
        lines.append(
            f"± {result.error_of_groups:.3f} by the test events, ± {result.error_of_seeds:.3f} by "
            f"the {result.num_seeds[0]} and {result.num_seeds[1]} seeds"
        )
    click.echo("\n".join([*lines, f"{verdict} ({about})"]))


def _values(result: PairedDifference) -> dict[str, object]:
    """What was found, for machines."""
    from arbench.measure.statistics.seeds import RecipesDifference

    values: dict[str, object] = {
        "difference_nats_per_event": result.nats,
        "standard_error_nats": result.standard_error,
        "interval_nats": result.interval,
        "num_events": result.num_events,
        "num_groups": result.num_groups,
        "degrees_of_freedom": result.degrees,
        "still_growing": result.blocks is not None and result.blocks.still_growing,
        "p_value": result.p_value,
    }
    if isinstance(result, RecipesDifference):
        values |= {
            "num_seeds": result.num_seeds,
            "error_of_groups_nats": result.error_of_groups,
            "error_of_seeds_nats": result.error_of_seeds,
        }
    return values
