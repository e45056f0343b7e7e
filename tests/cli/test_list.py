"""`arbench list`: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re

import pytest

from arbench.cli import list as list_verb
from arbench.cli import main
from arbench.registry.entries import ModelEntry, TaskEntry
from arbench.registry.manager import Registered, Registry
from arbench.registry.plugins import PluginInfo


@pytest.fixture(autouse=True)
def _offers(monkeypatch: pytest.MonkeyPatch) -> None:
    def model(name: str, distribution: str) -> Registered[ModelEntry]:
        entry = ModelEntry(name=name, network="a.b:C", summary=f"about {name}")
        return Registered(entry, "plug", distribution, "1.0")

    task = TaskEntry(name="images", task="a.b:C", argument="PATH")
    registry = Registry(
        models=[
            model("zeta", "one"),
            model("alpha", "one"),
            model("both", "one"),
            model("both", "two"),
        ],
        tasks=[Registered(task, "plug", "one", "1.0")],
        plugins=[
            PluginInfo("plug", "one", "1.0", "loaded"),
            PluginInfo("broken", "two", "2.0", "failed", "RuntimeError: no"),
        ],
    )
    monkeypatch.setattr(list_verb, "registry", lambda: registry)


def test_models_and_tasks_by_default_sorted_and_aligned(capsys) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "MODEL  SUMMARY      PLUGIN",
        "alpha  about alpha  one",
        "zeta   about zeta   one",
    ]
    assert "images:PATH  one" in lines


def test_a_clash_is_listed_with_both_distributions(capsys) -> None:
    main(["list"])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "clash" in line]
    assert "'both'" in line
    assert "one 1.0" in line
    assert "two 1.0" in line


def test_plugins_show_what_they_offer_and_what_is_wrong(capsys) -> None:
    main(["list", "plugins", "--json"])
    loaded, failed = json.loads(capsys.readouterr().out)["plugins"]
    assert loaded == {
        "plugin": "plug",
        "distribution": "one",
        "version": "1.0",
        "status": "loaded",
        "offers": "2 models alpha, zeta; task images",
        "problem": "",
    }
    assert (failed["status"], failed["problem"]) == ("failed", "RuntimeError: no")
    main(["list", "plugins"])
    assert re.search(
        r"^broken +two +2\.0 +failed +RuntimeError: no$", capsys.readouterr().out, re.MULTILINE
    )


def test_json_holds_the_same(capsys) -> None:
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in found["models"]] == ["alpha", "zeta"]
    assert [row["task"] for row in found["tasks"]] == ["images:PATH"]
    assert found["clashes"][0]["name"] == "both"


def test_an_empty_kind_says_so(capsys) -> None:
    main(["list", "recipes"])
    assert capsys.readouterr().out.startswith("no recipes")
