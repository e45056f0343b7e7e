"""Settings: whatever way a value comes, it is the same value, in the file and in the network."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import arbench
from arbench.api import training
from arbench.cli import main
from arbench.data.dataset import Dataset
from arbench.data.tasks import open_task
from arbench.errors import ConfigError
from arbench.probability.heads import GaussianMixture
from arbench.probability.layouts import Layout
from arbench.registry.entries import HeadEntry, ModelEntry
from arbench.registry.manager import Registered, registry
from arbench.runs import experiment
from arbench.runs.config import RunConfig, assemble
from arbench.runs.request import RunRequest, resolve
from arbench.training import recipes

TASK = "toy-ar1"


class Net(nn.Module):
    """Keeps what it is given."""

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        grids: list[int] | None = [2],  # noqa: B006
        pair: tuple[int, float] = (1, 0.5),
        tied: bool = True,
        scale: float = 1.0,
        width: int = 4,
        label: str = "a",
        table: dict[str, float] = {},  # noqa: B006
    ) -> None:
        super().__init__()
        self.given = {"grids": grids, "pair": pair, "tied": tied, "scale": scale}
        self.given |= {"width": width, "label": label, "table": table}
        self.bias = nn.Parameter(torch.zeros(layout.num_sites, num_params))

    def forward(self, sites: Tensor) -> Tensor:
        return self.bias.expand(len(sites), -1, -1)


# The key, a value in Python, the text for it, the same in a TOML file or None, what comes of it.
ROWS: list[tuple[str, Any, str, str | None, Any]] = [
    ("grids", None, "none", None, None),
    ("grids", (3, 1), "3,1", "[3, 1]", [3, 1]),
    ("network.grids", [3], "3", "3", [3]),
    ("grids", [], "[]", "[]", []),
    ("pair", (2, 0.25), "2,0.25", "[2, 0.25]", (2, 0.25)),
    ("tied", False, "false", "false", False),
    ("tied", False, "False", "false", False),
    ("scale", 2, "2", "2", 2.0),
    ("scale", 0.1 + 0.2, "0.30000000000000004", "0.30000000000000004", 0.1 + 0.2),
    ("width", np.int64(6), "6", "6", 6),
    ("width", 1000, "1e3", "1000", 1000),
    ("label", "500", "500", '"500"', "500"),
    ("label", "none", "none", '"none"', "none"),
    ("label", "a,b", "a,b", '"a,b"', "a,b"),
    ("table", {"a": 0.5, "b": 2}, "{a=0.5, b=2}", "{a = 0.5, b = 2}", {"a": 0.5, "b": 2.0}),
    ("betas", (0.8, 0.9), "0.8,0.9", "[0.8, 0.9]", (0.8, 0.9)),
    ("training.clip_norm", 0, "0", "0", 0.0),
    ("evaluate_test", False, "false", "false", False),
    ("layout.order", "permuted", "permuted", '"permuted"', "permuted"),
    ("num_orderings", 1, "1", "1", 1),
    ("head.num_components", 3, "3", "3", 3),
    ("head.min_log_scale", -2.5, "-2.5", "-2.5", -2.5),
]


@pytest.fixture(autouse=True)
def _net(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ModelEntry(name="net", network=f"{__name__}:Net")
    models = {**registry().models, "net": Registered(entry, "tests", "tests", "1")}
    monkeypatch.setattr(registry(), "models", models)
    # No event is needed to know what was asked for.
    monkeypatch.setattr(Dataset, "sha256", "0" * 64)
    monkeypatch.setattr(Dataset, "require_likelihood", lambda *parts: None)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[RunRequest]:
    """What would have been run, and is not."""
    found: list[RunRequest] = []

    def remember(request: RunRequest, reporter: object) -> object:
        found.append(request)
        return SimpleNamespace(is_main=False)

    for caller in (training, experiment):  # the command line calls the latter's own
        monkeypatch.setattr(caller, "start_run", remember)
    return found


def by_python(key: str, value: Any, text: str, toml: str | None, folder: Path) -> None:
    arbench.run(TASK, "net", settings={key: value}, out=folder / "run")


def by_seeds(key: str, value: Any, text: str, toml: str | None, folder: Path) -> None:
    arbench.run_seeds(TASK, "net", seeds=1, settings={key: value}, out=folder / "seeds")


def by_command(key: str, value: Any, text: str, toml: str | None, folder: Path) -> None:
    arguments = ["run", "--task", TASK, "--model", "net", "--set", f"{key}={text}"]
    assert main(arguments) == 0


def by_command_for_seeds(key: str, value: Any, text: str, toml: str | None, folder: Path) -> None:
    arguments = ["run", "--task", TASK, "--model", "net", "--set", f"{key}={text}"]
    assert main([*arguments, "--seeds", "1", "--out", str(folder / "seeds")]) == 0


def by_queue(key: str, value: Any, text: str, toml: str | None, folder: Path) -> None:
    if toml is None:
        pytest.skip("TOML has no None")
    head = f'[[run]]\ntask = "{TASK}"\nmodel = "net"\n[run.settings]\n'
    (folder / "queue.toml").write_text(f'{head}"{key}" = {toml}\n')
    arbench.run_queue(folder / "queue.toml", out=folder / "runs")


PATHS = [by_python, by_seeds, by_command, by_command_for_seeds, by_queue]


def resolved(request: RunRequest) -> RunConfig:
    return resolve(request, open_task(TASK))[0]


def what_came_of(key: str, config: RunConfig) -> Any:
    """The value where it is used: in the network that is built, or in the section that is read."""
    name = key.rpartition(".")[2]
    network: Any = assemble(config).network
    if name in network.given:
        return network.given[name]
    if key.startswith("head."):
        return config.head_options[name]
    recipe = config.recipe
    (section,) = [
        each
        for each in (recipe.training, recipe.layout, recipe.ensemble)
        if name in type(each).model_fields
    ]
    return getattr(section, name)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}={row[2]}")
def test_every_path_brings_the_same_value(
    requests: list[RunRequest],
    tmp_path: Path,
    path: Callable[..., None],
    row: tuple[str, Any, str, str | None, Any],
) -> None:
    key, value, text, toml, expected = row
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        path(key, value, text, toml, tmp_path)
        config = resolved(requests[0])
    (tmp_path / "config.json").write_text(config.model_dump_json())
    again = RunConfig.read(tmp_path / "config.json")
    for each in (config, again):
        found = what_came_of(key, each)
        assert (found, type(found)) == (expected, type(expected))
    direct = resolved(RunRequest(task=TASK, model="net", overrides={key: value}))
    assert again.recipe_sha256 == config.recipe_sha256 == direct.recipe_sha256
    assert json.loads((tmp_path / "config.json").read_text()) == direct.model_dump(mode="json")


def as_text(value: Any) -> Any:
    """How arbench 0.1 sent values on: as the text that `--set` would have been given."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(str(as_text(item)) for item in value) + "]"
    return str(value)


@pytest.mark.parametrize(
    ("key", "value"), [("grids", None), ("label", "500"), ("table", {"a": 0.5, "b": 2})]
)
def test_a_path_through_text_would_be_seen(
    monkeypatch: pytest.MonkeyPatch,
    requests: list[RunRequest],
    tmp_path: Path,
    key: str,
    value: Any,
) -> None:
    (row,) = [row for row in ROWS if row[0] == key and row[1] == value]
    run = training.as_request

    def through_text(*names: str, settings: dict[str, Any], **others: Any) -> RunRequest:
        texts = {key: as_text(value) for key, value in settings.items()}
        typed = {key: recipes.read_text(text, None) for key, text in texts.items()}
        return run(*names, settings=typed, **others)

    monkeypatch.setattr(training, "as_request", through_text)
    with pytest.raises((AssertionError, ConfigError, DeprecationWarning)):
        test_every_path_brings_the_same_value(requests, tmp_path, by_python, row)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tied", 1, "Net: tied = 1: Input should be a valid boolean"),
        ("tied", None, "Net: tied = None: Input should be a valid boolean"),
        ("width", True, "Net: width = True: Input should be a valid integer"),
        ("width", 2.5, "Net: width = 2.5: Input should be a valid integer"),
        ("width", "many", "Net: width = 'many': Input should be a valid integer"),
        ("scale", False, "Net: scale = False: Input should be a valid number"),
        ("label", 500, "Net: label = 500: Input should be a valid string"),
        ("grids", [1, None], r"Net: grids\.1 = None: Input should be a valid integer"),
        ("pair", 2, "Net: pair = 2: Input should be a valid list"),
        ("pair", (2, 0.5, 1), "Net: pair: Tuple should have at most 2 items"),
        ("epochs", True, r"training\.epochs = True: Input should be a valid integer"),
        ("epochs", 0, r"training\.epochs = 0: Input should be greater than or equal to 1"),
        ("evaluate_test", 0, r"training\.evaluate_test = 0: Input should be a valid boolean"),
        ("head.num_components", None, "num_components = None: Input should be a valid integer"),
        ("head.components", 3, "no setting called 'components'"),
        ("label", object(), "network.label is of type object, which no configuration can hold"),
        ("label", "\ud800", "network.label is of type str, which no configuration can hold"),
        ("widht", 3, r"widht: no such setting; did you mean 'width'\?"),
    ],
)
def test_a_value_of_another_type_is_refused_in_one_sentence(
    key: str, value: Any, message: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        with pytest.raises(ConfigError, match=message) as caught:
            resolved(RunRequest(task=TASK, model="net", overrides={key: value}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("network.width", "6", 6),
        ("network.width", 6.0, 6),
        ("network.grids", "3,1", [3, 1]),
        ("network.grids", ["3", "1"], [3, 1]),
        ("network.pair", "[2, 0.25]", [2, 0.25]),
        ("network.tied", "False", False),
        ("training.epochs", "3", 3),
        ("head.num_components", "3", 3),
    ],
)
def test_text_for_a_value_is_read_as_before_and_says_what_to_write(
    key: str, text: Any, value: Any
) -> None:
    said = f"setting {key} = {text!r} is read as {value!r}: write that"
    with pytest.warns(DeprecationWarning, match=re.escape(said)) as caught:
        config = resolved(RunRequest(task=TASK, model="net", overrides={key: text}))
    assert [each.filename for each in caught] == [__file__]  # who is to write something else
    direct = resolved(RunRequest(task=TASK, model="net", overrides={key: value}))
    assert config.recipe_sha256 == direct.recipe_sha256


class Ranged(GaussianMixture):
    """Keeps what it is given."""

    def __init__(self, layout: Layout, *, limits: tuple[float, float] = (0.0, 1.0)) -> None:
        super().__init__(layout)
        self.given = limits


def test_a_head_is_given_the_tuple_that_it_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = HeadEntry(name="ranged", head=f"{__name__}:Ranged")
    heads = {**registry().heads, "ranged": Registered(entry, "tests", "tests", "1")}
    monkeypatch.setattr(registry(), "heads", heads)
    overrides = {"head": "ranged", "head.limits": (2, 3)}
    config = resolved(RunRequest(task=TASK, model="net", overrides=overrides))
    assert config.recipe.head.options == {"limits": [2, 3]}  # as given: it is what is hashed
    head: Any = assemble(config).members[0].head
    assert head.given == (2.0, 3.0)


@pytest.mark.parametrize(("model", "key"), [("fvsbn", "kernel_grids"), ("nade", "kernel_grids")])
def test_none_is_a_value(model: str, key: str) -> None:
    request = RunRequest(task="toy-ising", model=model, overrides={key: None})
    config, _ = resolve(request, open_task("toy-ising"))
    assert config.hyperparameters[key] is None


def test_a_recipe_file_is_held_to_the_same_types(monkeypatch: pytest.MonkeyPatch) -> None:
    values: dict[str, Any] = {"network": {"width": 3, "pair": [2, 1]}, "training": {"epochs": 2}}
    monkeypatch.setattr(recipes, "read_recipe", lambda entry, task: ("net/own", values))
    config = resolved(RunRequest(task=TASK, model="net"))
    assert (config.hyperparameters["width"], config.recipe.training.epochs) == (3, 2)
    assert assemble(config).network.given["pair"] == (2, 1.0)  # type: ignore[union-attr,operator]
    values["network"] = {"width": True}
    with pytest.raises(ConfigError, match="width = True: Input should be a valid integer"):
        resolved(RunRequest(task=TASK, model="net"))


ZOO = sorted((Path(__file__).parents[2] / "zoo").glob("*/*/config.json"))


@pytest.mark.parametrize("path", ZOO, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_a_recipe_of_old_is_still_the_same_recipe(path: Path) -> None:
    record = json.loads((path.parent / "record.json").read_text())
    assert RunConfig.read(path).recipe_sha256 == record["training"]["recipe_sha256"]
