"""Refuses settings and data that a flow has no use for."""

from __future__ import annotations

from collections.abc import Sequence

from arbench.errors import ConfigError
from arbench.probability.flows.flow import require_real_events
from arbench.probability.layouts import Layout
from arbench.training.recipes import Recipe


def require_flow_settings(
    model: str, network_class: type, recipe: Recipe, layouts: Sequence[Layout]
) -> None:
    """Refuse a head, orders, copies and members of a flow, and events that are no real numbers.

    Args:
        model: its name.
        network_class: of the flow.
        recipe: how it is to be trained.
        layouts: of the members that the recipe asks for.

    Raises:
        ConfigError: with the reason, and what to set instead.
    """
    try:
        require_real_events(layouts[0].spec)
    except ValueError as error:
        raise ConfigError(f"{model}: {error}") from error
    if recipe.head.name != "auto" or recipe.head.options:
        raise ConfigError(
            f"{model} is a flow and takes no head, because its latents are standard normal: leave "
            "out the settings of head"
        )
    if len(layouts) > 1 or recipe.ensemble.num_copies > 1:
        raise ConfigError(
            f"{model} is a flow, and there are no ensembles and no copies of flows: set "
            "num_copies, num_orderings and num_masks to 1"
        )
    if not layouts[0].is_raster or layouts[0].sites != "dim":
        raise ConfigError(
            f"{model} is a flow, which draws whole events and has no order of sites: leave "
            "layout.order at raster and layout.sites at dim"
        )
    if hasattr(network_class, "fit"):
        raise ConfigError(f"{model} is a flow, and only networks with a head may have `fit`")
