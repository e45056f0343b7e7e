"""Recipes: TOML files, the choice of one for a task, overrides by `--set`; types of settings.

Configuration has three homes: the network's keyword arguments are the schema, the recipe file
holds the values, `--set` on the command line overrides them. Unknown keys are errors.
"""

from __future__ import annotations

import difflib
import inspect
import tomllib
import typing
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import from_json, to_json

from arbench.errors import ConfigError
from arbench.files.documents import Finite, Name, Part, describe_validation
from arbench.registry.entries import ModelEntry
from arbench.training.settings import read_text, reread

# A configuration from elsewhere must not be able to ask for more than a machine can count to.
LARGEST = 1 << 20
_LONGEST = 1 << 8
# Settings by section, of each thing that a run may choose; and what each came to on validation, in
# nats per event, or None where its training diverged.
Alternatives = Annotated[dict[Name, dict[str, dict[str, Any]]], Field(max_length=16)]
Tried = dict[Name, Finite | None]
# How much of a running mean stays at a step; at 1 it would never move.
_Decay = Annotated[float, Field(ge=0, lt=1)]


class HeadRecipe(Part):
    """Which likelihood: "auto" chooses it from the domain of the data.

    The options are keyword arguments of the head. In a recipe file they stand beside the name.
    """

    name: str = "auto"
    options: dict[str, Any] = Field(default={})


class LayoutRecipe(Part):
    """Which order, and how many dims are drawn at once."""

    order: Literal["raster", "permuted"] = "raster"
    seed: Annotated[int, Field(ge=0, le=1 << 53)] = 0
    sites: Literal["dim", "pixel"] = "dim"


class StreamRecipe(Part):
    """How a stream is seen: windows of `context` symbols; evaluation moves on by `stride`."""

    context: Annotated[int, Field(ge=1, le=LARGEST)] = 256
    stride: Annotated[int, Field(ge=1, le=LARGEST)] = 128


class EnsembleRecipe(Part):
    """How many models are averaged; one of each is a single model.

    Copies of the network, each with weights of its own, average the probabilities of every site:
    see `heads.copies`. Orderings and mask seeds average joint probabilities: training cycles
    through all `num_orderings * num_masks` members, one per step; evaluation is the log-mean-exp of
    their joint log-probabilities. They share the weights, or with `shared_weights = false` each has
    `num_copies` networks of its own.
    """

    num_copies: Annotated[int, Field(ge=1, le=64)] = 1
    num_orderings: Annotated[int, Field(ge=1, le=1024)] = 1
    num_masks: Annotated[int, Field(ge=1, le=1024)] = 1
    shared_weights: bool = True


class TrainingRecipe(Part):
    """Optimiser, schedule and length.

    The loss is nats per scored dim; `weight_decay` and `clip_norm` are relative to it. A training
    lasts `epochs`, or so many as make `min_steps` steps, if those are more: a small data set has
    short epochs. Who overrides `epochs` alone gets that many. It stops early after `patience`
    evaluations in a row that are no better than the best before them; with 0 it never does. Without
    `evaluate_test` the run ends with a number on validation alone: so a search can choose among
    many runs, none of which has seen the test split.
    """

    epochs: Annotated[int, Field(ge=1, le=LARGEST)] = 20
    min_steps: Annotated[int, Field(ge=0, le=LARGEST)] = 0
    batch_size: Annotated[int, Field(ge=1, le=LARGEST)] = 100
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    betas: tuple[_Decay, _Decay] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip_norm: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    ema_decay: _Decay = 0.0
    evaluations: Annotated[int, Field(ge=1, le=LARGEST)] = 20
    patience: Annotated[int, Field(ge=0, le=LARGEST)] = 0
    checkpoint_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0
    evaluate_test: bool = True

    def epochs_for(self, steps_per_epoch: int) -> int:
        """How many epochs it lasts, where each has so many steps."""
        return max(self.epochs, -(-self.min_steps // steps_per_epoch))


class Recipe(Part):
    """A resolved recipe; `network` holds every keyword argument, defaults included.

    Each of several `alternatives` has a name and is settings by section. All set the same things,
    and the other fields are as the first has them. A run trains every alternative and goes on with
    the one that is best on validation; see `arbench.runs.selection`.
    """

    network: dict[str, Any] = Field(default={})
    head: HeadRecipe = HeadRecipe()
    layout: LayoutRecipe = LayoutRecipe()
    stream: StreamRecipe = StreamRecipe()
    ensemble: EnsembleRecipe = EnsembleRecipe()
    training: TrainingRecipe = TrainingRecipe()
    alternatives: Alternatives = Field(default={})

    def alternative(self, name: str) -> Recipe:
        """This recipe with the settings of one of its alternatives."""
        values = self.model_dump(mode="json")
        for section, settings in self.alternatives[name].items():
            values[section] |= settings
        return Recipe.model_validate(values)


# What alternatives may differ in: not in what data they see, nor in what a number is.
_MAY_DIFFER = ("network", "layout", "ensemble", "training")
# Those whose settings may be named alone; "network" comes before them.
_SECTIONS: dict[str, type[BaseModel]] = {
    "training": TrainingRecipe,
    "layout": LayoutRecipe,
    "stream": StreamRecipe,
    "ensemble": EnsembleRecipe,
}


def options_schema(target: type) -> type[BaseModel]:
    """A pydantic schema of a network's or head's keyword arguments: names, types and defaults."""
    hints = typing.get_type_hints(target.__init__)  # type: ignore[misc]
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(target).parameters.values():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (hints.get(parameter.name, Any), default)
    config = ConfigDict(extra="forbid", protected_namespaces=())
    return create_model(target.__name__, __config__=config, **fields)


def check_options(target: type, values: Mapping[str, Any]) -> BaseModel:
    """Values checked against a network's or head's keyword arguments, defaults filled in.

    Args:
        target: the class of the network or head.
        values: by name, as JSON or TOML has them.

    Returns:
        An instance of `options_schema(target)`: `dict` of it is what the constructor takes, a tuple
        where it asks for a tuple; `model_dump(mode="json")` is what a configuration keeps.

    Raises:
        ConfigError: for unknown keys and values of the wrong type.
    """
    for key, value in values.items():
        numbers = value if isinstance(value, (list, tuple)) else [value]
        if len(numbers) > _LONGEST:
            raise ConfigError(
                f"{target.__name__}: {key} has {len(numbers):,} values, expected at most {_LONGEST}"
            )
        for number in numbers:
            # Written so that what is no number, NaN, is refused too.
            if isinstance(number, (int, float)) and not abs(number) <= LARGEST:
                raise ConfigError(
                    f"{target.__name__}: {key} = {number}: no setting may exceed {LARGEST:,}"
                )
    schema = options_schema(target)
    try:
        # As JSON, in which a tuple or a set is a list; strict Python would refuse such a list.
        return schema.model_validate_json(to_json(values), strict=True)
    except ValidationError as error:
        known = ", ".join(schema.model_fields) or "none"
        raise ConfigError(
            f"{target.__name__}: {describe_validation(error)} (its settings, in a recipe or by "
            f"--set, are its keyword-only arguments: {known})"
        ) from error


def read_settings(
    texts: Mapping[str, str], network_class: type, head_class: type | None = None
) -> dict[str, Any]:
    """The values that `--set` pairs mean, by what the settings take.

    Args:
        texts: by key, such as `{"hidden": "500", "training.epochs": "3"}`.
        network_class: its keyword arguments are the schema of `[network]`.
        head_class: those of `[head]`, if it is known; else its options are read as TOML has them.

    Raises:
        ConfigError: for unknown keys.
    """
    sections = {"network": options_schema(network_class), **_SECTIONS}
    fields = {section: schema.model_fields for section, schema in sections.items()}
    options = {} if head_class is None else options_schema(head_class).model_fields
    fields["head"] = {**options, "name": HeadRecipe.model_fields["name"]}
    values: dict[str, Any] = {}
    for key, text in texts.items():
        if key == "alternative":
            values[key] = text
            continue
        section, name = _locate(key, sections)
        values[key] = read_text(text, fields[section].get(name))
    return values


def resolve_recipe(
    entry: ModelEntry,
    network_class: type,
    task_name: str,
    overrides: Mapping[str, Any] | None = None,
    base: tuple[str, dict[str, Any]] | None = None,
) -> tuple[str, Recipe]:
    """The recipe of a model on a task, with overrides applied and every default filled in.

    Args:
        entry: the model's registration; its recipes are looked up by task name, then "default".
        network_class: its keyword arguments are the schema of `[network]`.
        task_name: a task's name.
        overrides: values by key, such as `{"hidden": 500, "training.betas": (0.9, 0.99)}`. What
            they set is no longer open; "alternative" takes that one, by its name.
        base: the name and the values to begin with, in place of `read_recipe`.

    Returns:
        The recipe's name, such as "nade/mnist", and its values.

    Raises:
        ConfigError: for unknown keys and unacceptable values.
    """
    name, raw = base or read_recipe(entry, task_name)
    alternatives, _ = raw.pop("alternatives", {}), raw.pop("minutes", None)  # for `choice`
    sections = {"network": options_schema(network_class), **_SECTIONS}
    # The name of a head comes first, so that options given beside it are its own.
    given = dict(overrides or {})
    if (wanted := given.pop("alternative", None)) is not None:
        if wanted not in alternatives:
            has = ", ".join(alternatives) or "none"
            raise ConfigError(f"recipe {name}: no alternative is called {wanted!r}; it has {has}")
        alternatives = {wanted: alternatives[wanted]}
    heads_first = sorted(given.items(), key=lambda item: item[0] not in ("head", "head.name"))
    decided: set[tuple[str, str]] = set()
    has_min_steps = any(key.rpartition(".")[2] == "min_steps" for key in given)
    for key, value in heads_first:
        section, field = _locate(key, sections)
        if (section, field) == ("head", "name"):
            raw["head"] = {}  # what the recipe says of another head is not about this one
        raw.setdefault(section, {})[field] = value
        decided.add((section, field))
        if (section, field) == ("training", "epochs") and not has_min_steps:
            raw["training"].pop("min_steps", None)
            decided.add(("training", "min_steps"))
    raw = {section: settled(section, raw[section], sections.get(section)) for section in raw}
    network = check_options(network_class, raw.get("network", {}))
    raw["network"] = network.model_dump(mode="json")
    head = raw.get("head", {})
    if "options" not in head:
        options = {key: value for key, value in head.items() if key != "name"}
        raw["head"] = {key: head[key] for key in head if key == "name"} | {"options": options}
    try:
        recipe = Recipe.model_validate_json(to_json(raw), strict=True)
        if alternatives:
            recipe = _with_alternatives(recipe, alternatives, decided, network_class)
    except (ValidationError, ConfigError) as error:
        what = describe_validation(error) if isinstance(error, ValidationError) else error
        raise ConfigError(f"recipe {name}: {what}") from error
    return name, recipe


def _with_alternatives(
    recipe: Recipe,
    alternatives: Mapping[str, Mapping[str, Mapping[str, Any]]],
    decided: set[tuple[str, str]],
    network_class: type,
) -> Recipe:
    """A recipe with its alternatives, of those that are alike the first alone.

    Args:
        recipe: without them.
        alternatives: by name, as the file has them.
        decided: section and name of the settings that are no longer open.
        network_class: its keyword arguments are the schema of `[network]`.

    Raises:
        ConfigError: if they do not all set the same things, or things that may not differ.
        ValidationError: for unknown keys and unacceptable values.
    """
    all_set = [
        {(section, name) for section, values in each.items() for name in values}
        for each in alternatives.values()
    ]
    if any(own != all_set[0] for own in all_set):
        raise ConfigError("alternatives set the same things, each its own values; complete them")
    if {section for section, _ in all_set[0]} - {*_MAY_DIFFER}:
        raise ConfigError(f"alternatives differ in {', '.join(_MAY_DIFFER)} alone")
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, each in alternatives.items():
        values = recipe.model_dump(mode="json")
        for section, key in all_set[0] - decided:
            values[section][key] = each[section][key]
        values["network"] = check_options(network_class, values["network"]).model_dump(mode="json")
        whole = Recipe.model_validate_json(to_json(values), strict=True).model_dump(mode="json")
        own: dict[str, dict[str, Any]] = {}
        for section, key in sorted(all_set[0] - decided):
            own.setdefault(section, {})[key] = whole[section][key]
        if own not in found.values():
            found[name] = own
    first = next(iter(found))
    offers = recipe.model_copy(update={"alternatives": found}).alternative(first)
    return offers if len(found) > 1 else offers.model_copy(update={"alternatives": {}})


def read_recipe(entry: ModelEntry, task_name: str) -> tuple[str, dict[str, Any]]:
    """The name of the recipe for a task, else of the default one, and what its file says."""
    if entry.recipes is None:
        return f"{entry.name}/none", {}
    folder = resources.files(entry.recipes) / "recipes"
    for stem in (task_name, "default"):
        file = folder / f"{stem}.toml"
        if file.is_file():
            try:
                return f"{entry.name}/{stem}", tomllib.loads(file.read_text(encoding="utf-8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
                raise ConfigError(f"recipe {entry.name}/{stem}: not valid TOML: {error}") from error
    return f"{entry.name}/none", {}


def settled(
    section: str, values: Mapping[str, Any], schema: type[BaseModel] | None
) -> dict[str, Any]:
    """Values as a recipe keeps them: as JSON has them, and of the types that the settings take.

    Args:
        section: of the recipe, for messages.
        values: by name, as they were given.
        schema: of the section; None where there is none.

    Raises:
        ConfigError: if no configuration can hold a value.
    """
    plain = {}
    for key, value in values.items():
        try:  # a tuple is a list, a number of NumPy's is one of Python's
            plain[key] = from_json(to_json(value, fallback=lambda other: other.tolist()))
        except ValueError as error:
            raise ConfigError(
                f"{section}.{key} is of type {type(value).__name__}, which no configuration can "
                "hold: a setting is a number, a text, True, False, None, or a list of such"
            ) from error
    if schema is None:
        return plain
    try:
        schema.model_validate_json(to_json(plain), strict=True)
    except ValidationError:
        fields = schema.model_fields
        for key, value in values.items():
            plain[key] = reread(f"{section}.{key}", value, plain[key], fields.get(key))
    return plain


def _locate(key: str, sections: Mapping[str, type[BaseModel]]) -> tuple[str, str]:
    """The section and field that an override names; a bare key may belong to any section."""
    fields = {section: list(schema.model_fields) for section, schema in sections.items()}
    if key == "head":
        return "head", "name"
    if "." in key:
        section, field = key.split(".", 1)
        if field in fields.get(section, []) or section == "head":
            return section, field
    for section, names in fields.items():
        # A bare "seed" would be taken for the run's own, which is --seed; say layout.seed.
        if key in names and key != "seed":
            return section, key
    known = [name for names in fields.values() for name in names]
    near = difflib.get_close_matches(key.rsplit(".", 1)[-1], known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ConfigError(f"--set {key}: no such setting{hint} There are: {', '.join(known)}")
