"""The contract of a measurement, its key, and what an answer must be."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from asked import Auroc, Cost, Mean
from torch import Tensor

from arbench import ConfigError, Measured, Measurement, MeasurementEntry, PluginError, Row
from arbench.measure.likelihood import LikelihoodSection
from arbench.measure.opening import (
    contract_fault,
    make_measurement,
    open_measurement,
    parse_key,
)
from arbench.registry.manager import Registered, Registry


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, "auroc"),
        ({"kind": 1}, "auroc"),
        ({"kind": 2}, "auroc?kind=2"),
        ({"kind": 2, "against": "noise"}, 'auroc?against="noise"&kind=2'),
        ({"depths": [1, 2.5, None]}, "auroc?depths=[1,2.5,null]"),
        ({"depths": (1, 2)}, "auroc?depths=[1,2]"),
        ({"against": "a&b=c?d:e/f %é"}, None),
        ({"against": "1"}, 'auroc?against="1"'),
        ({"depths": {"b": 1, "a": [True]}}, None),
    ],
)
def test_a_key_says_what_differs_from_the_defaults_and_is_read_back(
    settings: dict[str, Any], key: str | None
) -> None:
    measurement = Auroc(**settings)
    assert key is None or measurement.key == key
    name, read = parse_key(measurement.key)
    assert name == "auroc"
    assert Auroc(**read).key == measurement.key
    assert Auroc(**read).settings == {**Auroc().settings, **read}


def test_what_separates_in_a_key_is_escaped_within_a_value() -> None:
    assert Auroc(against="&=?:/").key == 'auroc?against="%26%3D%3F%3A%2F"'


def test_a_setting_that_nobody_knows_is_refused() -> None:
    with pytest.raises(TypeError, match="knd"):
        Auroc(knd=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="kind"):
        Mean(kind=1)  # type: ignore[call-arg]


def test_a_copy_has_the_key_of_what_it_was_made_of() -> None:
    assert copy.deepcopy(Auroc(kind=3)).key == "auroc?kind=3"


def test_what_users_type_needs_no_quotes() -> None:
    assert parse_key(" Auroc?against=noise&kind=2 ") == ("auroc", {"against": "noise", "kind": 2})


@pytest.mark.parametrize("text", ["auroc?", "auroc?kind", "auroc?=2", "auroc?kind=1&kind=2"])
def test_half_a_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not NAME or NAME"):
        parse_key(text)


def test_unknown_settings_and_refused_values_are_named() -> None:
    assert make_measurement(Auroc, {"kind": 2}).key == "auroc?kind=2"
    with pytest.raises(ConfigError, match="auroc has no setting 'knd': did you mean kind"):
        make_measurement(Auroc, {"knd": 2})

    class Particular(Auroc):
        def __init__(self, *, kind: int) -> None:
            if kind > 9:
                raise ValueError("there are ten kinds")

    with pytest.raises(ConfigError, match="auroc: there are ten kinds"):
        make_measurement(Particular, {"kind": 10})
    with pytest.raises(ConfigError, match="auroc: .*kind"):
        make_measurement(Particular, {})


class Unlisted(Auroc):
    def __init__(self, *, kind: set[int] = {1}) -> None:  # noqa: B006
        pass


class Keyed(Auroc):
    def __init__(self, *, key: str = "") -> None:
        self.key = key  # which would be what its result is called


class Positional(Auroc):
    def __init__(self, kind: int = 1) -> None:
        pass


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, None),
        ({"name": "Mean nats"}, "its name 'Mean nats' does not match"),
        ({"version": ""}, "its version is empty"),
        ({"version": 1}, "it states no version"),
        ({"unit": " "}, "its unit ' '"),
        ({"unit": "n\nats"}, "no word of"),
        ({"better": "bigger"}, "better is 'bigger', expected lower or higher"),
        ({"reads": ("tests",)}, "reads names 'tests': did you mean test"),
        ({"reads": "test"}, "reads is 'test', expected a tuple"),
        ({"needs": ("feature",)}, "needs names 'feature': did you mean features"),
        ({"exclusive": "yes"}, "exclusive is 'yes'"),
        ({"section": LikelihoodSection}, "only likelihood, speed, truth have a section of a shape"),
    ],
)
def test_a_class_that_breaks_the_contract_is_told_so(
    fields: dict[str, Any], fault: str | None
) -> None:
    found = contract_fault(type("Made", (Mean,), fields))
    assert (fault or "") in (found or "")
    assert (found is None) == (fault is None)


def test_settings_are_keywords_with_defaults_of_json() -> None:
    assert "'kind' is not keyword-only" in str(contract_fault(Positional))
    assert "no JSON" in str(contract_fault(Unlisted))
    assert "no setting may be called 'key'" in str(contract_fault(Keyed))

    class Unnamed(Measurement):
        pass

    assert contract_fault(Unnamed) == "it states no name, a text"


def registered(target: str, name: str = "auroc", **more: Any) -> Registry:
    entry = MeasurementEntry(name=name, measurement=target, **more)
    return Registry([Registered(entry, "asked", "asked-plugin", "1.2")])


@pytest.mark.parametrize(
    ("target", "name", "message"),
    [
        ("asked:Auroc", "ranking", "calls itself 'auroc', and is registered as 'ranking'"),
        ("asked:Words", "words", "asked:Words of asked-plugin 1.2 is no subclass of"),
        ("asked:Nothing", "nothing", "cannot be loaded"),
    ],
)
def test_what_is_no_measurement_is_refused(
    target: str, name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arbench.measure.opening.registry", lambda: registered(target, name))
    with pytest.raises(PluginError, match=message):
        open_measurement(name)


def test_a_name_or_a_key_opens_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arbench.measure.opening.registry", lambda: registered("asked:Auroc"))
    assert open_measurement("AUROC").key == "auroc"
    assert open_measurement("auroc?kind=4").key == "auroc?kind=4"
    with pytest.raises(ConfigError, match="no measurement is called 'aurok': did you mean auroc"):
        open_measurement("aurok")


def test_a_mean_is_known_as_one() -> None:
    assert Mean().is_mean
    assert not Auroc().is_mean
    assert (
        Cost().value_of({"x": torch.tensor([1.0, 5.0]).double()}, torch.tensor([3.0, 1.0]).double())
        == 2
    )


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


ROW = Row("test", 1.0, "nats", "lower")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": []}, "there is no row"),
        ({"rows": [ROW, ROW]}, "two rows have the case 'test'"),
        ({"baselines": [ROW, ROW]}, "two rows have the case 'test'"),
        ({"values": {"x": torch.ones(3)}}, "float64"),
        ({"values": {"x": doubles(1, 2), "y": doubles(1)}}, "one length for all"),
        ({"values": {"x": doubles()}}, "not 0"),
        ({"values": {"x": doubles(1, float("nan"))}}, "'x' of test 1 is nan"),
        ({"values": {"groups": doubles(1)}}, "not 'groups'"),
        ({"values": {"a:b": doubles(1)}}, "values are called as"),
        ({"values": {"x": doubles(1)}, "groups": torch.zeros(2).long()}, "groups are int64, one"),
        ({"values": {"x": doubles(1)}, "groups": doubles(1)}, "groups are int64, one"),
        ({"index": ""}, "the index is a line"),
        ({"details": {"x": float("inf")}}, "not JSON compliant"),
    ],
)
def test_an_answer_checks_itself(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Measured(**{"rows": [ROW], **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"value": float("nan")}, "the value is nan"),
        ({"error": -1.0}, "the standard error is -1.0"),
        ({"error": float("inf")}, "the standard error is inf"),
        ({"unit": ""}, "a case and a unit"),
        ({"case": "a\nb"}, "a case and a unit"),
        ({"better": "bigger"}, "expected lower or higher"),
    ],
)
def test_an_answer_checks_its_rows_and_baselines(fields: dict[str, Any], message: str) -> None:
    given = {"case": "test", "value": 1.0, "unit": "nats", "better": "lower", **fields}
    for rows, baselines in (([Row(**given)], []), ([ROW], [Row(**given)])):
        with pytest.raises(ValueError, match=message):
            Measured(rows, baselines=baselines)


def test_values_make_their_row_and_others_follow() -> None:
    extra = Mean().row("first half", 3.0, 0.5)
    measured = Mean().measured({"x": doubles(1, 2, 6)}, rows=[extra], index="samples")
    assert [row.case for row in measured.rows] == ["samples", "first half"]
    assert (measured.number.value, measured.number.unit) == (3.0, "nats")
    assert measured.num_values == measured.num_groups == 3
