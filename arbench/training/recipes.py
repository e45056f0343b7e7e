"""Recipes: how one model is trained on one task, as a TOML file with overrides.

Configuration has three homes: the network's keyword arguments are the schema, the recipe file
holds the values, `--set` on the command line overrides them. Unknown keys are errors.
"""

from __future__ import annotations

import difflib
import inspect
import tomllib
import typing
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from arbench.errors import ConfigError
from arbench.files.documents import describe_validation
from arbench.registry.entries import ModelEntry

# A configuration from elsewhere must not be able to ask for more than a machine can count to.
_LARGEST = 1 << 20
_LONGEST = 1 << 8
# How much of a running mean stays at a step; at 1 it would never move.
_Decay = Annotated[float, Field(ge=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HeadRecipe(_Section):
    """Which likelihood: "auto" chooses it from the domain of the data.

    In a recipe file, whatever else the section holds are options, keyword arguments of the head.
    """

    name: str = "auto"
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "options" in values:
            return values
        rest = {key: value for key, value in values.items() if key != "name"}
        return {key: values[key] for key in values if key == "name"} | {"options": rest}


class LayoutRecipe(_Section):
    """Which order, and how many dims are drawn at once."""

    order: Literal["raster", "permuted"] = "raster"
    seed: Annotated[int, Field(ge=0, le=1 << 53)] = 0
    sites: Literal["dim", "pixel"] = "dim"


class StreamRecipe(_Section):
    """How a stream is seen: windows of `context` symbols; evaluation moves on by `stride`."""

    context: Annotated[int, Field(ge=1, le=_LARGEST)] = 256
    stride: Annotated[int, Field(ge=1, le=_LARGEST)] = 128


class EnsembleRecipe(_Section):
    """How many models are averaged; one of each is a single model.

    Copies of the network, each with weights of its own, average the probabilities of every site:
    see `heads.copies`. Orderings and mask seeds share the weights: training cycles
    through all `num_orderings * num_masks` members, one per step; evaluation is the log-mean-exp of
    their joint log-probabilities.
    """

    num_copies: Annotated[int, Field(ge=1, le=64)] = 1
    num_orderings: Annotated[int, Field(ge=1, le=1024)] = 1
    num_masks: Annotated[int, Field(ge=1, le=1024)] = 1


class TrainingRecipe(_Section):
    """Optimiser, schedule and length.

    The loss is nats per scored dim; `weight_decay` and `clip_norm` are relative to it. Without
    `evaluate_test` the run ends with a number on validation alone: so a search can choose among
    many runs, none of which has seen the test split.
    """

    epochs: Annotated[int, Field(ge=1, le=_LARGEST)] = 20
    batch_size: Annotated[int, Field(ge=1, le=_LARGEST)] = 100
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    betas: tuple[_Decay, _Decay] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip_norm: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    ema_decay: _Decay = 0.0
    evaluations: Annotated[int, Field(ge=1, le=_LARGEST)] = 20
    checkpoint_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0
    evaluate_test: bool = True


class Recipe(_Section):
    """A resolved recipe; `network` holds every keyword argument, defaults included."""

    network: dict[str, Any] = {}
    head: HeadRecipe = HeadRecipe()
    layout: LayoutRecipe = LayoutRecipe()
    stream: StreamRecipe = StreamRecipe()
    ensemble: EnsembleRecipe = EnsembleRecipe()
    training: TrainingRecipe = TrainingRecipe()


def resolve_recipe(
    entry: ModelEntry,
    network_class: type,
    task_name: str,
    overrides: Mapping[str, str] | None = None,
) -> tuple[str, Recipe]:
    """The recipe of a model on a task, with overrides applied and every default filled in.

    Args:
        entry: the model's registration; its recipes are looked up by task name, then "default".
        network_class: its keyword arguments are the schema of `[network]`.
        task_name: a task's name.
        overrides: `--set` pairs as text, such as `{"hidden": "500", "training.epochs": "3"}`.

    Returns:
        The recipe's name, such as "nade/mnist", and its values.

    Raises:
        ConfigError: for unknown keys and unacceptable values.
    """
    name, raw = _read_recipe(entry, task_name)
    schema = options_schema(network_class)
    # The name of a head comes first, so that options given beside it are its own.
    given = overrides or {}
    heads_first = sorted(given.items(), key=lambda item: item[0] not in ("head", "head.name"))
    for key, text in heads_first:
        section, field = _locate(key, schema)
        value = _parse_value(text)
        if section == "network" and _is_sequence(schema, field) and not isinstance(value, list):
            value = [value]
        if (section, field) == ("head", "name"):
            raw["head"] = {}  # what the recipe says of another head is not about this one
        raw.setdefault(section, {})[field] = value
    raw["network"] = check_options(network_class, raw.get("network", {}))
    try:
        return name, Recipe.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"recipe {name}: {describe_validation(error)}") from error


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


def check_options(target: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values checked against a network's or head's keyword arguments, defaults filled in.

    Raises:
        ConfigError: for unknown keys and values of the wrong type.
    """
    for key, value in values.items():
        numbers = value if isinstance(value, list) else [value]
        if len(numbers) > _LONGEST:
            raise ConfigError(
                f"{target.__name__}: {key} has {len(numbers):,} values, expected at most {_LONGEST}"
            )
        for number in numbers:
            # Written so that what is no number, NaN, is refused too.
            if isinstance(number, (int, float)) and not abs(number) <= _LARGEST:
                raise ConfigError(
                    f"{target.__name__}: {key} = {number}: no setting may exceed {_LARGEST:,}"
                )
    schema = options_schema(target)
    try:
        checked = schema.model_validate(dict(values))
    except ValidationError as error:
        known = ", ".join(schema.model_fields) or "none"
        raise ConfigError(
            f"{target.__name__}: {describe_validation(error)} (its settings, in a recipe or by "
            f"--set, are its keyword-only arguments: {known})"
        ) from error
    return checked.model_dump(mode="json")


def _read_recipe(entry: ModelEntry, task_name: str) -> tuple[str, dict[str, Any]]:
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


def _locate(key: str, schema: type[BaseModel]) -> tuple[str, str]:
    """The section and field that an override names; a bare key may belong to any section."""
    sections: dict[str, list[str]] = {"network": list(schema.model_fields)}
    for section in ("training", "layout", "stream", "ensemble"):
        annotation = Recipe.model_fields[section].annotation
        sections[section] = list(typing.cast(type[BaseModel], annotation).model_fields)
    if key == "head":
        return "head", "name"
    if "." in key:
        section, field = key.split(".", 1)
        if field in sections.get(section, []) or section == "head":
            return section, field
    for section, fields in sections.items():
        # A bare "seed" would be taken for the run's own, which is --seed; say layout.seed.
        if key in fields and key != "seed":
            return section, key
    known = [field for fields in sections.values() for field in fields]
    near = difflib.get_close_matches(key.rsplit(".", 1)[-1], known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ConfigError(f"--set {key}: no such setting{hint} There are: {', '.join(known)}")


def _is_sequence(schema: type[BaseModel], field: str) -> bool:
    annotation = schema.model_fields[field].annotation
    return typing.get_origin(annotation) in (list, tuple, Sequence)


def _parse_value(text: str) -> Any:
    """A value as TOML would read it; "a,b" is a list and bare words are text."""
    for candidate in (text, f"[{text}]" if "," in text else text):
        try:
            return tomllib.loads(f"value = {candidate}")["value"]
        except tomllib.TOMLDecodeError:
            continue
        except RecursionError as error:
            raise ConfigError(f"--set: {text[:20]}... is nested too deeply") from error
    return text
