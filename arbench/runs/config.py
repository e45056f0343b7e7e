"""The configuration of a run: the schema of `config.json`, and the density that is built from it.

`config.json` is checked against this schema before anything is allocated; classes come from the
registry only, never from the file. Combinations that form no density are refused.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import nn

from arbench.data.dataset import windows_of
from arbench.data.rendering import Rendering, natural_rendering
from arbench.data.tasks import Division, open_task
from arbench.errors import CheckpointError, ConfigError, PluginError
from arbench.files.canonical import canonical_sha256
from arbench.files.documents import Count, Line, Name, Natural, Part, Sha256, Values, read_document
from arbench.measure.allocator import is_out_of_memory
from arbench.probability.events import Discrete, EventSpec, Mixed, Real
from arbench.probability.flows.flow import Flow, is_flow
from arbench.probability.heads.base import Head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.probability.randomness import made_on
from arbench.registry.entries import HeadEntry, ModelEntry
from arbench.registry.manager import registry
from arbench.registry.surroundings import contained
from arbench.training.flow_settings import require_flow_settings
from arbench.training.recipes import Recipe, Tried, check_options

if TYPE_CHECKING:
    from arbench.probability.ensemble import Ensemble

Precision = Literal["float32", "bfloat16"]
_MAX_DIMS = 1 << 22
_MISSING = (
    "no such file; is this a run folder? One of seeds holds runs (seed-0 and so on), and one of a "
    "foreign density holds no weights to build"
)


class DimConfig(Part):
    """The domain of a dim; `size` belongs to discrete ones, `bin_width` to real ones."""

    kind: Literal["discrete", "real"]
    size: Annotated[int, Field(ge=2, le=1 << 20)] | None = None
    bin_width: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> DimConfig:
        if (self.kind == "discrete") != (self.size is not None):
            raise ValueError("a discrete domain has a size, a real one has none")
        return self

    @classmethod
    def of(cls, domain: Discrete | Real) -> DimConfig:
        """The description of a domain; `build` is the inverse."""
        if isinstance(domain, Discrete):
            return cls(kind="discrete", size=domain.size)
        return cls(kind="real", bin_width=domain.bin_width)

    def build(self) -> Discrete | Real:
        """The domain described."""
        return Real(self.bin_width) if self.size is None else Discrete(self.size)


class MixedConfig(Part):
    """A mixed domain."""

    kind: Literal["mixed"]
    dims: Annotated[list[DimConfig], Field(min_length=2, max_length=_MAX_DIMS)]

    def build(self) -> Mixed:
        """The domain described."""
        return Mixed(tuple(dim.build() for dim in self.dims))


class EventConfig(Part):
    """An event spec."""

    shape: Annotated[list[Annotated[int, Field(ge=1, le=_MAX_DIMS)]], Field(max_length=3)]
    domain: Annotated[DimConfig | MixedConfig, Field(discriminator="kind")]


class LayoutConfig(Part):
    """A layout, its permutation written out."""

    event: EventConfig
    sites: Literal["dim", "pixel"]
    order: Annotated[list[int], Field(max_length=_MAX_DIMS)] | None

    @classmethod
    def of(cls, layout: Layout) -> LayoutConfig:
        """The description of a layout; `build` is the inverse."""
        domain = layout.spec.domain
        described: DimConfig | MixedConfig
        if isinstance(domain, Mixed):
            described = MixedConfig(kind="mixed", dims=[DimConfig.of(dim) for dim in domain.dims])
        else:
            described = DimConfig.of(domain)
        event = EventConfig(shape=list(layout.spec.shape), domain=described)
        order = None if layout.is_raster else layout.permutation.tolist()
        return cls(event=event, sites=layout.sites, order=order)

    def build(self) -> Layout:
        """The layout described."""
        spec = EventSpec(tuple(self.event.shape), self.event.domain.build())
        return Layout(spec, order=self.order, sites=self.sites)


class MemberConfig(Part):
    """One member of the density: an ordering and, for masked networks, a mask seed."""

    layout: LayoutConfig
    mask_seed: Natural | None = None


class RunConfig(Part):
    """`config.json`: the task, the model and how it was to be trained.

    `rendering` is None in old files; see `shown`. `division` is None where the data state their
    splits, and in old files. `head` is None for a flow, whose only member is the raster scan.
    `tried` is what the recipe's alternatives came to; all else is of the one that was chosen.
    `parent` is the run that it began from, and the hash of its weights; None for fresh ones.
    """

    schema_version: Literal[1] = 1
    task: Name
    task_version: Line
    rendering: Rendering | None = None
    data_sha256: Sha256
    division: Division | None = None
    model: Name
    plugin: Line
    plugin_version: Line
    hyperparameters: Values
    head: Name | None
    head_options: Values = Field(default={})
    members: Annotated[list[MemberConfig], Field(min_length=1, max_length=4096)]
    recipe_name: Line
    recipe: Recipe
    tried: Tried = Field(default={})
    parent: Line | None = None
    parent_sha256: Sha256 | None = None
    seed: Natural
    budget_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    limit: Count | None = None
    precision: Precision = "float32"
    compile: bool = False
    shard: bool = False

    @field_validator("members")
    @classmethod
    def _are_of_one_plausible_event(cls, members: list[MemberConfig]) -> list[MemberConfig]:
        first, event, num_members = members[0].layout, members[0].layout.event, len(members)
        if math.prod(event.shape) > _MAX_DIMS:
            raise ValueError(f"events of {event.shape} have more than {_MAX_DIMS:,} dims")
        for layout in (member.layout for member in members):
            if (layout.event, layout.sites) != (event, first.sites):
                raise ValueError("all members are of the same events, in the same sites")
        if num_members > 1 and any(member.mask_seed is None for member in members):
            raise ValueError("each of several members has a mask_seed")
        if num_members * math.prod(event.shape) > _MAX_DIMS:
            raise ValueError(
                f"{num_members:,} members of events {event.shape} have more than "
                f"{_MAX_DIMS:,} dims together"
            )
        return members

    @property
    def shown(self) -> Rendering:
        """How events are shown: as the task said, else as their spec suggests."""
        return self.rendering or natural_rendering(self.members[0].layout.build().spec)

    @property
    def layouts(self) -> list[Layout]:
        """Those of the members."""
        return [member.layout.build() for member in self.members]

    @property
    def recipe_sha256(self) -> str:
        """What tells its recipe from every other: a hash of all that it says but the seed.

        Runs that agree in it differ by chance alone, also in which alternative they chose. What has
        its default value is left out, so that an option of a later version changes no older hash.
        """
        own = next(map(self.alternative, self.recipe.alternatives), self)
        return canonical_sha256(
            own.model_dump(mode="json", exclude={"seed", "tried"}, exclude_defaults=True)
        )

    def alternative(self, name: str) -> RunConfig:
        """This configuration with an alternative of its recipe."""
        recipe = self.recipe.alternative(name)
        members = plan_members(recipe, self.layouts[0].spec)
        own = {"recipe": recipe, "hyperparameters": recipe.network, "members": members}
        return self.model_copy(update=own)

    @classmethod
    def read(cls, path: Path) -> RunConfig:
        """The configuration in a file.

        Raises:
            CheckpointError: if it is missing, damaged, newer, or has other events than its task.
        """
        config = read_document(path, cls, 1, CheckpointError, _MISSING)
        try:
            found = config.layouts[0].spec
            spec = _spec_of_task(config.task, config.recipe.stream.context)
            if spec not in (None, found):
                raise ValueError(
                    f"its events are {found}, those of {config.task} are {spec}; it is damaged, or "
                    "of another version of the task"
                )
            config.shown.check(found)
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}") from error
        return config


def _spec_of_task(name: str, context: int) -> EventSpec | None:
    """The event spec of a task; None if it is not installed, or known from its data alone.

    Args:
        name: of the task.
        context: symbols per window, should it be a stream.
    """
    registered = registry().tasks.get(name)
    if registered is None or registered.entry.argument is not None:
        return None
    try:
        with contained():
            return windows_of(open_task(name), context).spec
    except PluginError:
        return None  # a run can be loaded without its task


@dataclass(frozen=True)
class Assembly:
    """A built density and its parts.

    Attributes:
        network: holds every weight, once.
        members: the models that share it, or the flow.
        density: the single member, or the ensemble of all.
    """

    network: nn.Module
    members: Sequence[Model | Flow]
    density: Model | Ensemble | Flow


def plan_members(recipe: Recipe, spec: EventSpec) -> list[MemberConfig]:
    """Every ordering with every mask seed, which count up from the network's own `mask_seed`.

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


def require_combination(config: RunConfig) -> None:
    """Refuse members and copies that form no density, and combinations that cannot be trained.

    Raises:
        ConfigError: with the reason, and what to set instead.
    """
    network_class = registry().find(ModelEntry, config.model).load()
    if is_flow(network_class) or config.head is None:
        if not is_flow(network_class):
            raise ConfigError(f"{config.model} is no flow, and its configuration names no head")
        if config.head is not None:
            raise ConfigError(f"{config.model} is a flow, and its configuration names a head")
        require_flow_settings(config.model, network_class, config.recipe, config.layouts)
        return
    num_copies, num_members = config.recipe.ensemble.num_copies, len(config.members)
    fits_itself = hasattr(network_class, "fit")
    if fits_itself and config.budget_s is not None:
        raise ConfigError(f"{config.model} fits itself: give --epochs, not --budget")
    if fits_itself and num_copies > 1:
        raise ConfigError(
            f"{config.model} fits itself, so all copies would be alike: set num_copies to 1"
        )
    shares = config.recipe.ensemble.shared_weights
    if fits_itself and num_members > 1 and shares:
        raise ConfigError(
            f"{config.model} fits itself and cannot share weights between members: set "
            "shared_weights to false, or num_orderings and num_masks to 1"
        )
    if num_copies > 1 and num_members > 1 and shares:
        raise ConfigError(
            "copies share one ordering and one mask: set num_orderings and num_masks to 1, or "
            "shared_weights to false, which gives each ordering copies of its own"
        )
    if num_copies > 1 and registry().find(HeadEntry, config.head).load().averaged is Head.averaged:
        raise ConfigError(
            f"copies need a head that can average probabilities, and {config.head} cannot: set "
            "num_copies to 1"
        )
    if num_members > 1 and shares and not hasattr(network_class, "reordered"):
        raise ConfigError(
            f"{config.model} cannot share weights between orderings or masks: they belong to "
            "positions, not to pixels (it has no `reordered`); set shared_weights to false, or "
            "num_orderings and num_masks to 1"
        )


def _assemble_flow(
    network_class: type, hyperparameters: dict[str, Any], spec: EventSpec, device: Any
) -> Assembly:
    """A flow, freshly initialised."""
    fresh = functools.partial(network_class, spec, **hyperparameters)
    with made_on(device):
        flow = Flow(fresh(), spec, fresh=fresh)
    return Assembly(flow.network, [flow], flow)


def assemble(config: RunConfig, *, device: str | torch.device = "cpu") -> Assembly:
    """Build the density that a configuration describes, freshly initialised.

    Args:
        config: the configuration.
        device: where to build it; "meta" allocates nothing and serves to read off the shapes.

    Raises:
        ConfigError: if the network or the head refuses the data, or plugin or memory is missing.
    """
    require_combination(config)
    network_class = registry().find(ModelEntry, config.model).load()
    hyperparameters = dict(check_options(network_class, config.hyperparameters))
    layouts, num_copies = config.layouts, config.recipe.ensemble.num_copies
    try:
        if config.head is None:
            return _assemble_flow(network_class, hyperparameters, layouts[0].spec, device)
        head_class = registry().find(HeadEntry, config.head).load()
        head_options = dict(check_options(head_class, config.head_options))
        heads: list[Head] = [head_class(layout, **head_options) for layout in layouts]
        served = getattr(network_class, "heads", (heads[0].name,))
        if heads[0].name not in served:
            raise ValueError(f"its head is {' or '.join(served)}, not {heads[0].name}")

        def fresh(index: int = 0) -> nn.Module:
            options, mask_seed = hyperparameters, config.members[index].mask_seed
            if "mask_seed" in options and mask_seed is not None:
                options = {**options, "mask_seed": mask_seed}
            sizes = layouts[index], heads[index].num_params
            made: list[nn.Module] = [network_class(*sizes, **options) for _ in range(num_copies)]
            if num_copies == 1:
                return made[0]
            from arbench.probability.heads.copies import copies_of  # few runs have any

            return copies_of(made, heads[index])

        shares = config.recipe.ensemble.shared_weights
        with made_on(device):
            networks: list[Any] = [fresh(own) for own in range(1 if shares else len(layouts))]
        if len(layouts) == 1:
            model = Model(networks[0], heads[0], layouts[0], fresh=fresh)
            return Assembly(networks[0], [model], model)
        from arbench.probability.ensemble import Ensemble  # few runs are one

        whole: Any = networks[0] if shares else nn.ModuleList(networks)
        if shares:
            seeds = [member.mask_seed for member in config.members]
            networks = [*map(whole.reordered, layouts, seeds)]
        members = [Model(*parts) for parts in zip(networks, heads, layouts, strict=True)]
        return Assembly(whole, members, Ensemble(members))
    except ValueError as error:
        raise ConfigError(f"{config.model} on {config.task}: {error}") from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ConfigError(
            f"{config.model} on {config.task}: its weights need more memory than there is; set a "
            f"smaller size (`arbench show {config.model}` lists what can be set)"
        ) from error
