"""Builds network, head and ensemble from a configuration; refuses combinations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from arbench.errors import ConfigError
from arbench.measure.allocator import is_out_of_memory
from arbench.probability.events import EventSpec
from arbench.probability.heads.base import Head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.registry.entries import HeadEntry, ModelEntry
from arbench.registry.manager import registry
from arbench.runs.config import LayoutConfig, MemberConfig, RunConfig
from arbench.training.recipes import Recipe
from arbench.training.settings import check_options

if TYPE_CHECKING:
    from arbench.probability.ensemble import Ensemble


@dataclass(frozen=True)
class Assembly:
    """A built density and its parts.

    Attributes:
        network: holds every weight, once.
        members: the models that share it; one, or those of the ensemble.
        density: the single member, or the ensemble of all.
    """

    network: nn.Module
    members: list[Model]
    density: Model | Ensemble

    @property
    def fits_itself(self) -> bool:
        """Whether the network offers `fit`, which takes the place of gradient descent."""
        return hasattr(self.network, "fit")

    @property
    def num_parameters(self) -> int:
        """Trainable parameters, or fitted counts where a network has no gradient."""
        count = sum(p.numel() for p in self.network.parameters())
        if count == 0:
            count = sum(t.numel() for t in self.network.state_dict().values())
        return count


def plan_members(recipe: Recipe, spec: EventSpec) -> list[MemberConfig]:
    """The members that a recipe asks for: every ordering with every mask seed.

    The seeds of several members count up from the network's own `mask_seed`, if it has one.

    Raises:
        ValueError: if that is negative, or there is no such layout.
    """
    options, ensemble = recipe.layout, recipe.ensemble
    layouts = []
    for index in range(ensemble.num_orderings):
        if options.order == "raster" and index == 0:
            layouts.append(Layout(spec, sites=options.sites))
        else:
            layouts.append(Layout.permuted(spec, options.seed + index, sites=options.sites))
    many = ensemble.num_orderings * ensemble.num_masks > 1
    first = recipe.network.get("mask_seed") or 0
    if first < 0:
        raise ValueError(f"mask_seed is not negative, got {first}")
    seeds = range(first, first + ensemble.num_masks) if many else [None]
    return [
        MemberConfig(layout=LayoutConfig.of(layout), mask_seed=seed)
        for layout in layouts
        for seed in seeds
    ]


def make_head(name: str, layout: Layout, options: Mapping[str, Any]) -> Head:
    """The registered head of that name.

    Raises:
        ConfigError: if there is none, or it has no such options.
        ValueError: if it cannot describe the layout.
    """
    head_class = registry().find(HeadEntry, name).load()
    head: Head = head_class(layout, **dict(check_options(head_class, options)))
    return head


def require_combination(config: RunConfig) -> None:
    """Refuse members and copies that form no density, and combinations that cannot be trained.

    Raises:
        ConfigError: with the reason, and what to set instead.
    """
    network_class = registry().find(ModelEntry, config.model).load()
    num_copies, num_members = config.recipe.ensemble.num_copies, len(config.members)
    fits_itself = hasattr(network_class, "fit")
    if fits_itself and config.budget_s is not None:
        raise ConfigError(f"{config.model} fits itself: give --epochs, not --budget")
    if fits_itself and num_copies > 1:
        raise ConfigError(
            f"{config.model} fits itself, so all copies would be alike: set num_copies to 1"
        )
    if fits_itself and num_members > 1:
        raise ConfigError(
            f"{config.model} fits itself and cannot form an ensemble: set num_orderings and "
            "num_masks to 1"
        )
    if num_copies > 1 and num_members > 1:
        raise ConfigError(
            "copies share one ordering and one mask: set num_orderings and num_masks to 1"
        )
    if num_copies > 1 and registry().find(HeadEntry, config.head).load().averaged is Head.averaged:
        raise ConfigError(
            f"copies need a head that can average probabilities, and {config.head} cannot: set "
            "num_copies to 1"
        )
    if num_members > 1 and not hasattr(network_class, "reordered"):
        raise ConfigError(
            f"{config.model} cannot form an ensemble of orderings or masks: its weights belong to "
            "positions, not to pixels (it has no `reordered`); set num_orderings and num_masks to 1"
        )


def assemble(config: RunConfig, *, device: str | torch.device = "cpu") -> Assembly:
    """Build the density that a configuration describes, freshly initialised.

    Args:
        config: the configuration.
        device: where to build it; "meta" allocates nothing and serves to read off the shapes.

    Raises:
        ConfigError: if the network or the head refuses the data, the plugin is missing, or memory
            for the weights.
    """
    require_combination(config)
    network_class = registry().find(ModelEntry, config.model).load()
    num_copies = config.recipe.ensemble.num_copies
    hyperparameters = dict(check_options(network_class, config.hyperparameters))
    layouts = config.layouts
    try:
        heads = [make_head(config.head, layout, config.head_options) for layout in layouts]
        served = getattr(network_class, "heads", (heads[0].name,))
        if heads[0].name not in served:
            raise ValueError(f"its head is {' or '.join(served)}, not {heads[0].name}")
        with torch.device(device):
            networks = [
                network_class(layouts[0], heads[0].num_params, **hyperparameters)
                for _ in range(num_copies)
            ]
        network: Any = networks[0]
        if num_copies > 1:
            from arbench.probability.heads.copies import copies_of  # few runs have any

            network = copies_of(networks, heads[0])
        if len(layouts) == 1:
            model = Model(network, heads[0], layouts[0])
            return Assembly(network, [model], model)
        from arbench.probability.ensemble import Ensemble  # few runs are one

        members = [
            Model(network.reordered(layout, member.mask_seed), head, layout)
            for layout, head, member in zip(layouts, heads, config.members, strict=True)
        ]
        return Assembly(network, members, Ensemble(members))
    except ValueError as error:
        raise ConfigError(f"{config.model} on {config.task}: {error}") from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ConfigError(
            f"{config.model} on {config.task}: its weights need more memory than there is; set a "
            f"smaller size (`arbench show {config.model}` lists what can be set)"
        ) from error
