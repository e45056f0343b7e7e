"""Recipes: the schema is the network's signature; unknown keys are errors with a hint."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal

import pytest
from torch import nn

from arbench.errors import ConfigError
from arbench.registry.entries import ModelEntry
from arbench.training import recipes
from arbench.training.recipes import Recipe, check_options, read_settings, resolve_recipe


class Net(nn.Module):
    def __init__(
        self,
        layout: object,
        num_params: int,
        *,
        hidden: list[int] = [8],  # noqa: B006
        tied: bool = True,
        activation: Literal["relu", "tanh"] = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()


ENTRY = ModelEntry(name="net", network="nowhere:Net")


def resolved(texts: dict[str, str]) -> Recipe:
    """The recipe with what `--set` gives."""
    return resolve_recipe(ENTRY, Net, "mnist", read_settings(texts, Net))[1]


def test_defaults_are_filled_in() -> None:
    name, recipe = resolve_recipe(ENTRY, Net, "mnist")
    assert name == "net/none"
    assert recipe.network == {"hidden": [8], "tied": True, "activation": "relu", "dropout": 0.0}


@pytest.mark.parametrize("text", ["[16, 4]", "16,4"])
def test_overrides_reach_network_and_sections(text: str) -> None:
    overrides = {"hidden": text, "tied": "false", "activation": "tanh", "epochs": "3"}
    overrides |= {"training.learning_rate": "1e-2", "order": "permuted", "head": "categorical"}
    recipe = resolved(overrides)
    assert recipe.network["hidden"] == [16, 4]
    assert recipe.network["tied"] is False
    assert recipe.network["activation"] == "tanh"
    assert (recipe.training.epochs, recipe.training.learning_rate) == (3, 1e-2)
    assert (recipe.layout.order, recipe.head.name) == ("permuted", "categorical")


def test_options_of_a_head_go_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"head": {"name": "gaussian-mixture", "num_components": 3}}
    monkeypatch.setattr(recipes, "read_recipe", lambda entry, task: ("net/own", deepcopy(own)))
    recipe = resolved({"head.num_components": "5"})
    assert (recipe.head.name, recipe.head.options) == ("gaussian-mixture", {"num_components": 5})
    recipe = resolved({"head": "gaussian"})
    assert (recipe.head.name, recipe.head.options) == ("gaussian", {})
    both = {"head.num_components": "2", "head": "logistic-mixture"}
    recipe = resolved(both)
    assert (recipe.head.name, recipe.head.options) == ("logistic-mixture", {"num_components": 2})


@pytest.mark.parametrize(
    ("overrides", "steps_per_epoch", "epochs"),
    [
        ({}, 150, 20),  # 3,000 steps are more than asked for
        ({}, 30, 34),  # the first whole epoch beyond 1,000 steps
        ({"epochs": "3"}, 30, 3),
        ({"training.epochs": "3", "min_steps": "100"}, 30, 4),
        ({"min_steps": "0"}, 30, 20),
    ],
)
def test_a_small_set_is_seen_for_so_many_steps_unless_epochs_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, overrides: dict[str, str], steps_per_epoch: int, epochs: int
) -> None:
    own = {"training": {"epochs": 20, "min_steps": 1000}}
    monkeypatch.setattr(recipes, "read_recipe", lambda entry, task: ("net/own", deepcopy(own)))
    assert resolved(overrides).training.epochs_for(steps_per_epoch) == epochs


BELIEFS: dict[str, Any] = {
    "training": {"epochs": 9},
    "alternatives": {
        "wide": {"network": {"hidden": [64]}, "training": {"weight_decay": 0.0, "min_steps": 50}},
        "strict": {"network": {"hidden": [64]}, "training": {"weight_decay": 1, "min_steps": 90}},
    },
}


@pytest.fixture
def beliefs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A recipe with two alternatives, to be changed by a test; it is what is read."""
    own = deepcopy(BELIEFS)
    monkeypatch.setattr(recipes, "read_recipe", lambda entry, task: ("net/own", deepcopy(own)))
    return own


def test_a_recipe_has_what_its_first_alternative_sets(beliefs: dict[str, Any]) -> None:
    recipe = resolved({})
    assert [*recipe.alternatives] == ["wide", "strict"]
    assert recipe.network["hidden"] == [64]
    assert (recipe.training.epochs, recipe.training.weight_decay) == (9, 0.0)
    strict = recipe.alternative("strict")
    assert (strict.training.epochs, strict.training.weight_decay) == (9, 1.0)
    # From any of them to any other, so that it does not matter which one a run has chosen.
    assert strict.alternative("wide") == recipe


def test_what_is_asked_for_is_no_longer_open(beliefs: dict[str, Any]) -> None:
    recipe = resolved({"weight_decay": "0.5"})
    assert recipe.training.weight_decay == 0.5
    assert recipe.alternative("strict").training.weight_decay == 0.5
    assert recipe.alternative("strict").training.min_steps == 90
    # Epochs alone are a length, so what is left differs in nothing and is one recipe.
    recipe = resolved({"weight_decay": "0.5", "epochs": "3"})
    assert recipe.alternatives == {}
    assert (recipe.network["hidden"], recipe.training.min_steps) == ([64], 0)
    both = resolved({"weight_decay": "0.5", "epochs": "3", "min_steps": "7"})
    assert (both.alternatives, both.training.min_steps) == ({}, 7)


def test_an_alternative_can_be_asked_for(beliefs: dict[str, Any]) -> None:
    recipe = resolved({"alternative": "strict", "min_steps": "7"})
    assert recipe.alternatives == {}
    assert (recipe.training.weight_decay, recipe.training.min_steps) == (1.0, 7)
    with pytest.raises(ConfigError, match="no alternative is called 'mild'; it has wide, strict"):
        resolved({"alternative": "mild"})
    del beliefs["alternatives"]
    with pytest.raises(ConfigError, match="'mild'; it has none"):
        resolved({"alternative": "mild"})


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("training", {"weight_decay": 0.0}, "set the same things"),
        ("training", {"weight_decay": -1.0, "min_steps": 1}, "weight_decay = -1.0"),
        ("training", {"weight_decai": 0.0, "min_steps": 1}, "set the same things"),
        ("stream", {"context": 8}, "set the same things"),
    ],
)
def test_an_alternative_that_is_none_is_refused(
    beliefs: dict[str, Any], section: str, values: dict[str, Any], message: str
) -> None:
    beliefs["alternatives"]["strict"][section] = values
    with pytest.raises(ConfigError, match=f"recipe net/own: .*{message}"):
        resolved({})


def test_alternatives_see_the_same_data_and_give_the_same_kind_of_number(
    beliefs: dict[str, Any],
) -> None:
    for own in beliefs["alternatives"].values():
        own["stream"] = {"context": 8}
    with pytest.raises(ConfigError, match="differ in network, layout, ensemble, training alone"):
        resolved({})
    for own in beliefs["alternatives"].values():
        own["network"] = {"hiden": [3]}
        del own["stream"]
    with pytest.raises(ConfigError, match="there is no setting called 'hiden'"):
        resolved({})


def test_one_value_for_a_list_is_a_list_of_one() -> None:
    recipe = resolved({"hidden": "16"})
    assert recipe.network["hidden"] == [16]
    assert resolve_recipe(ENTRY, Net, "mnist", {"hidden": 16})[1] == recipe


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"hiden": "3"}, "did you mean 'hidden'"),
        ({"training.epoch": "3"}, "did you mean 'epochs'"),
        ({"activation": "swish"}, "activation = 'swish'.*'relu' or 'tanh'"),
        ({"epochs": "0"}, "training.epochs = 0"),
        ({"epochs": "many"}, "training.epochs = 'many'"),
        ({"learning_rate": "-1"}, "learning_rate = -1"),
        ({"learning_rate": "inf"}, "learning_rate = inf"),
        ({"weight_decay": "inf"}, "weight_decay = inf"),
        ({"betas": "2,0.9"}, "betas.0 = 2: Input should be less than 1"),
        ({"betas": "0.9,1"}, "betas.1 = 1: Input should be less than 1"),
        ({"betas": "-0.1,0.9"}, "betas.0 = -0.1: Input should be greater than or equal to 0"),
        ({"betas": "nan,0.9"}, "betas.0 = nan"),
        ({"evaluations": "1" + "0" * 400}, "training.evaluations = 10+: Input should be less"),
        ({"optimizer": "adamax"}, "optimizer = 'adamax'"),
    ],
)
def test_unacceptable_values_are_named_with_what_was_expected(
    overrides: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        resolved(overrides)


def test_betas_may_be_0_and_a_norm_is_clipped_at_no_infinity() -> None:
    recipe = resolved({"betas": "0,0.999", "clip_norm": "0"})
    assert (recipe.training.betas, recipe.training.clip_norm) == ((0, 0.999), 0)  # never clipped
    # JSON has no infinity: such a run could not be written down.
    with pytest.raises(ConfigError, match="clip_norm = inf: Input should be a finite number"):
        resolved({"clip_norm": "inf"})


def test_what_is_long_is_not_repeated_in_a_message() -> None:
    values = {"hidden": [8] * 200 + ["x"], "tied": {"a": 1}}
    with pytest.raises(ConfigError, match="hidden.200 = 'x'"):
        check_options(Net, values)
    with pytest.raises(ConfigError, match="Net: tied: Input should be a valid boolean"):
        check_options(Net, {"tied": [0] * 200})


@pytest.mark.parametrize("values", [[8, 1 << 30], (8, 1 << 30), (float("nan"),)])
def test_no_number_may_be_huge_in_a_list_or_a_tuple(values: object) -> None:
    with pytest.raises(ConfigError, match="no setting may exceed 1,048,576"):
        check_options(Net, {"hidden": values})


def test_a_config_cannot_bring_new_keyword_arguments() -> None:
    with pytest.raises(ConfigError, match="no setting called '__class__'"):
        check_options(Net, {"__class__": "os.system"})
