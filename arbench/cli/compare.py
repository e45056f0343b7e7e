"""`arbench compare`: paired difference of two runs, with a verdict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arbench.cli.options import UserPath
from arbench.show.tables import columns, filled

if TYPE_CHECKING:
    from arbench.measure.measurement import Measurement
    from arbench.measure.statistics.paired import PairedDifference

# Below, the tails of a test say nothing of the size any more, and floating point ends at 0.
TINY = 1e-12
LEVEL = 0.05


@click.command()
@click.argument("run_a", type=UserPath(path_type=Path))
@click.argument("run_b", type=UserPath(path_type=Path))
@click.argument("more", nargs=-1, metavar="[RUN_C ...]", type=UserPath(path_type=Path))
@click.option(
    "--measurement",
    "key",
    metavar="NAME",
    default="likelihood",
    show_default=True,
    help="The number to compare; NAME?SETTING=VALUE for a measurement with settings.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run_a: Path, run_b: Path, more: tuple[Path, ...], key: str, as_json: bool) -> None:
    """Compare RUN_A and RUN_B on the same test events: paired difference and verdict.

    Of more than two, every pair is compared, and the p-values are corrected for their number.

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
    if more:
        _print_all_pairs((run_a, run_b, *more), measurement, as_json)
        return
    result = api.compare(run_a, run_b, measurement=key)
    of_recipes = isinstance(result, RecipesDifference)
    better = run_a if result.nats > 0 else run_b
    if not result.has_enough_groups:
        verdict = f"no verdict: a test needs at least {FEWEST_GROUPS} independent groups of events"
    elif result.p_value < LEVEL:
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
    click.echo(filled("\n".join([*lines, f"{verdict} ({about})"])))


def _print_all_pairs(runs: Sequence[Path], measurement: Measurement | None, as_json: bool) -> None:
    """Print the difference of every pair, and which run is how good.

    Raises:
        ArbenchError: if two of them cannot be compared; see `arbench.compare`.
    """
    from arbench import api
    from arbench.measure.statistics.holm import holm_adjusted
    from arbench.show.wording import measured_text

    key = "likelihood" if measurement is None else measurement.key
    pairs = list(combinations(runs, 2))
    found = [api.compare(a, b, measurement=key) for a, b in pairs]
    p_values = holm_adjusted([d.p_value if d.has_enough_groups else None for d in found])
    better = [
        None if p is None or p >= LEVEL else (a if d.nats > 0 else b)
        for (a, b), d, p in zip(pairs, found, p_values, strict=True)
    ]
    won = [(pair, best) for pair, best in zip(pairs, better, strict=True) if best is not None]
    ranks = {run: 1 + sum(run in pair and run != best for pair, best in won) for run in runs}
    about = (
        f"over {len(pairs)} pairs, p by Holm; a rank is 1 plus the number of runs that are "
        "significantly better at 5 %"
    )
    if as_json:
        values = _nats if measurement is None else partial(_values, measurement=measurement)
        rows = [
            {"a": str(a), "b": str(b), **values(d), "p_holm": p, "better": best and str(best)}
            for (a, b), d, p, best in zip(pairs, found, p_values, better, strict=True)
        ]
        ranked = {str(run): rank for run, rank in ranks.items()}
        click.echo(json.dumps({"ranks": ranked, "pairs": rows, "about": about}, indent=1))
        return
    unit = "nats/event" if measurement is None else measurement.unit
    ordered = sorted(runs, key=lambda run: ranks[run])
    table = [
        (
            str(a),
            str(b),
            ("+" if d.nats >= 0 else "") + measured_text(d.nats, d.standard_error),
            "-" if p is None else (f"{p:.2g}" if p >= TINY else f"< {TINY:g}"),
            "no verdict" if p is None else str(best or "no significant difference"),
        )
        for (a, b), d, p, best in zip(pairs, found, p_values, better, strict=True)
    ]
    click.echo(columns([(str(ranks[run]), str(run)) for run in ordered], ("rank", "run")))
    click.echo()
    click.echo(columns(table, ("a", "b", f"a is better by, {unit}", "p", "better")))
    click.echo(filled(f"\n{about}"))


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
