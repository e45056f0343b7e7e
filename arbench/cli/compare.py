"""`arbench compare`: is one run better than another, or is it luck?"""

from __future__ import annotations

import json
from pathlib import Path

import click

# Below, the normal approximation says nothing of the size any more, and floating point ends at 0.
TINY = 1e-12


@click.command()
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run_a: Path, run_b: Path, as_json: bool) -> None:
    """Paired difference of per-event test log-probabilities of RUN_A and RUN_B, with a verdict."""
    from arbench import api
    from arbench.probability.metrics import FEWEST_EVENTS

    result = api.compare(run_a, run_b)
    better = run_a if result.nats > 0 else run_b
    if not result.has_enough_events:
        verdict = f"no verdict: a test needs at least {FEWEST_EVENTS} events"
    elif result.p_value < 0.05:
        verdict = f"{better} is better"
    else:
        verdict = "no significant difference at 5 %"
    if as_json:
        click.echo(
            json.dumps(
                {
                    "difference_nats_per_event": result.nats,
                    "standard_error_nats": result.standard_error,
                    "num_events": result.num_events,
                    "p_value": result.p_value,
                    "verdict": verdict,
                },
                indent=1,
            )
        )
        return
    p_value = f"p = {result.p_value:.2g}" if result.p_value >= TINY else f"p < {TINY:g}"
    click.echo(
        f"log p(A) - log p(B) = {result.nats:+.3f} ± {result.standard_error:.3f} nats/event over "
        f"{result.num_events:,} test events (z = {result.z:+.1f}, {p_value})\n"
        f"{verdict}"
    )
