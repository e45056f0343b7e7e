"""The schema of `config.json`; `recipe_sha256`.

`config.json` is checked against this schema before anything is allocated; classes come from the
registry only, never from the file.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from arbench.data.dataset import windows_of
from arbench.data.rendering import Rendering, natural_rendering
from arbench.data.tasks import Division, open_task
from arbench.errors import CheckpointError
from arbench.files.atomic import write_text
from arbench.files.canonical import canonical_sha256
from arbench.files.documents import Count, Line, Name, Natural, Part, Sha256, Values, read_document
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.layouts import Layout
from arbench.registry.manager import registry
from arbench.registry.surroundings import UnfitError, contained
from arbench.training.recipes import Recipe

Precision = Literal["float32", "bfloat16"]
_MAX_DIMS = 1 << 22
_MISSING = (
    "no such file; is this a run folder? One of seeds holds runs (seed-0 and so on), and one of a "
    "foreign density holds no weights to build"
)


class DomainConfig(Part):
    """A domain; `size` belongs to discrete ones, `bin_width` to real ones."""

    kind: Literal["discrete", "real"]
    size: Annotated[int, Field(ge=2, le=1 << 20)] | None = None
    bin_width: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _has_its_size(self) -> DomainConfig:
        if (self.kind == "discrete") != (self.size is not None):
            raise ValueError("a discrete domain has a size, a real one has none")
        return self


class EventConfig(Part):
    """An event spec."""

    shape: Annotated[list[Annotated[int, Field(ge=1, le=_MAX_DIMS)]], Field(max_length=3)]
    domain: DomainConfig

    @model_validator(mode="after")
    def _is_of_a_plausible_size(self) -> EventConfig:
        if math.prod(self.shape) > _MAX_DIMS:
            raise ValueError(f"events of {self.shape} have more than {_MAX_DIMS:,} dims")
        return self

    def build(self) -> EventSpec:
        """The event spec described."""
        size = self.domain.size
        domain = Real(self.domain.bin_width) if size is None else Discrete(size)
        return EventSpec(tuple(self.shape), domain)


class LayoutConfig(Part):
    """A layout, its permutation written out."""

    event: EventConfig
    sites: Literal["dim", "pixel"]
    order: Annotated[list[int], Field(max_length=_MAX_DIMS)] | None

    @classmethod
    def of(cls, layout: Layout) -> LayoutConfig:
        """The description of a layout; `build` is the inverse."""
        domain = layout.domain
        if isinstance(domain, Discrete):
            described = DomainConfig(kind="discrete", size=domain.size)
        else:
            described = DomainConfig(kind="real", bin_width=domain.bin_width)
        event = EventConfig(shape=list(layout.spec.shape), domain=described)
        order = None if layout.is_raster else layout.permutation.tolist()
        return cls(event=event, sites=layout.sites, order=order)

    def build(self) -> Layout:
        """The layout described."""
        return Layout(self.event.build(), order=self.order, sites=self.sites)


class MemberConfig(Part):
    """One member of the density: an ordering and, for masked networks, a mask seed."""

    layout: LayoutConfig
    mask_seed: Natural | None = None


class RunConfig(Part):
    """`config.json`: the task, the model and how it was to be trained.

    `rendering` is None in files from before it was kept; see `shown`. `division` is None where the
    data state their splits, and in files from before its rule was kept.
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
    head: Name
    head_options: Values = Field(default={})
    members: Annotated[list[MemberConfig], Field(min_length=1, max_length=4096)]
    recipe_name: Line
    recipe: Recipe
    seed: Natural
    budget_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    limit: Count | None = None
    precision: Precision = "float32"
    compile: bool = False

    @field_validator("members")
    @classmethod
    def _are_of_one_event(cls, members: list[MemberConfig]) -> list[MemberConfig]:
        first, num_members = members[0].layout, len(members)
        for layout in (member.layout for member in members):
            if (layout.event, layout.sites) != (first.event, first.sites):
                raise ValueError("all members are of the same events, in the same sites")
        if num_members > 1 and any(member.mask_seed is None for member in members):
            raise ValueError("each of several members has a mask_seed")
        if num_members * math.prod(first.event.shape) > _MAX_DIMS:
            raise ValueError(
                f"{num_members:,} members of events {first.event.shape} have more than "
                f"{_MAX_DIMS:,} dims together"
            )
        return members

    @property
    def shown(self) -> Rendering:
        """How events are shown: as the task said, else as their spec suggests."""
        return self.rendering or natural_rendering(self._spec)

    @property
    def layouts(self) -> list[Layout]:
        """Those of the members."""
        return [member.layout.build() for member in self.members]

    @property
    def recipe_sha256(self) -> str:
        """What tells its recipe from every other: a hash of all that it says but the seed.

        Runs that agree in it differ by chance alone. It is over the configuration's canonical JSON;
        what has its default value is left out, so that an option of a later version changes no
        older hash.
        """
        return canonical_sha256(
            self.model_dump(mode="json", exclude={"seed"}, exclude_defaults=True)
        )

    @property
    def _spec(self) -> EventSpec:
        return self.members[0].layout.event.build()

    def write(self, path: Path) -> None:
        """Write atomically as JSON."""
        write_text(path, json.dumps(self.model_dump(mode="json"), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> RunConfig:
        """The configuration in a file.

        Raises:
            CheckpointError: if it is missing, no JSON, of a newer format, breaks the schema, or has
                other events than its task.
        """
        config = read_document(path, cls, 1, CheckpointError, _MISSING)
        try:
            found = config.members[0].layout.event.build()
            spec = _spec_of_task(config.task, config.recipe.stream.context)
            if spec not in (None, found):
                raise ValueError(
                    f"its events are {found}, those of {config.task} are {spec}; it is damaged, or "
                    "of another version of the task"
                )
            for member in config.members:
                member.layout.build()
            config.shown.check(config._spec)
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
    except UnfitError:
        return None  # a run can be loaded without its task
