"""Names as users type them: case, arguments after a colon, answers to unknown ones."""

from __future__ import annotations

import pytest

from arbench.errors import ConfigError, PluginError
from arbench.registry.entries import ModelEntry, TaskEntry
from arbench.registry.manager import Registered, Registry, split_argument


def offers() -> Registry:
    def model(name: str, distribution: str) -> Registered[ModelEntry]:
        return Registered(ModelEntry(name=name, network="a.b:C"), "p", distribution, "1")

    def task(name: str) -> Registered[TaskEntry]:
        return Registered(TaskEntry(name=name, task="a.b:C"), "p", "x", "1")

    models = [model("nade", "x"), model("made", "x"), model("rnn", "x"), model("rnn", "y")]
    return Registry([*models, task("mnist"), task("mnist-mini")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mnist", ("mnist", None)),
        (" MNIST ", ("mnist", None)),
        ("images:PATH", ("images", "PATH")),
        ("Images:C:\\Data", ("images", "C:\\Data")),
    ],
)
def test_split_argument(text: str, expected: tuple[str, str | None]) -> None:
    assert split_argument(text) == expected


@pytest.mark.parametrize("text", ["images:", ":PATH", " :x"])
def test_half_an_argument_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="NAME:ARGUMENT"):
        split_argument(text)


def test_names_are_found_whatever_their_case() -> None:
    assert offers().find(ModelEntry, "NADE").entry.name == "nade"
    assert offers().find(TaskEntry, " Mnist ").entry.name == "mnist"


def test_an_unknown_name_is_answered_with_what_comes_close() -> None:
    with pytest.raises(ConfigError, match=r"no model is called 'nad': did you mean nade"):
        offers().find(ModelEntry, "nad")
    with pytest.raises(ConfigError, match="did you mean mnist"):
        offers().find(TaskEntry, "mnits")


def test_an_unknown_name_far_from_all_is_sent_to_the_listing() -> None:
    with pytest.raises(ConfigError, match="'zzzz'; `arbench list models`"):
        offers().find(ModelEntry, "zzzz")


def test_a_clashing_name_is_refused_and_the_others_stay() -> None:
    registry = offers()
    with pytest.raises(PluginError, match=r"x 1 \(p\) and by y 1 \(p\)"):
        registry.find(ModelEntry, "rnn")
    assert list(registry.models) == ["made", "nade"]
    with pytest.raises(ConfigError):
        registry.find(TaskEntry, "rnn")


def with_aliases(*entries: ModelEntry) -> Registry:
    return Registry([Registered(entry, "p", f"d{i}", "1") for i, entry in enumerate(entries)])


def test_an_alias_finds_its_model_and_is_listed_nowhere() -> None:
    registry = with_aliases(ModelEntry(name="pp", network="a.b:C", aliases=("p++", "plus")))
    for spelling in (" P++ ", "plus"):
        assert registry.find(ModelEntry, spelling).entry.name == "pp"
    assert list(registry.models) == ["pp"]
    assert registry.clashes == {}


def test_an_alias_that_is_offered_twice_is_refused() -> None:
    one = ModelEntry(name="pp", network="a.b:C", aliases=("p++",))
    two = ModelEntry(name="q", network="a.b:C", aliases=("p++",))
    registry = with_aliases(one, two)
    with pytest.raises(PluginError, match=r"'p\+\+' is offered by d0 1 \(p\) and by d1 1 \(p\)"):
        registry.find(ModelEntry, "p++")
    assert registry.find(ModelEntry, "pp").entry is one
    assert registry.find(ModelEntry, "q").entry is two


def test_an_alias_that_is_another_models_name_is_refused() -> None:
    one = ModelEntry(name="pp", network="a.b:C", aliases=("q",))
    registry = with_aliases(one, ModelEntry(name="q", network="a.b:C"))
    with pytest.raises(PluginError, match=r"'q' is offered by d0 1 \(p\) and by d1 1 \(p\)"):
        registry.find(ModelEntry, "q")
    assert list(registry.models) == ["pp"]


@pytest.mark.parametrize("aliases", [("P++",), ("",), ("a b",), "p++", ["p++"]])
def test_an_alias_that_nobody_could_type_is_refused(aliases: object) -> None:
    with pytest.raises(ValueError, match="alias"):
        ModelEntry(name="pp", network="a.b:C", aliases=aliases)  # type: ignore[arg-type]
