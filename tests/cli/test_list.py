"""`arbench list`: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re

import pytest

from arbench.cli import list as list_verb
from arbench.cli import main
from arbench.registry.entries import MeasurementEntry, ModelEntry, TaskEntry
from arbench.registry.manager import Registered, Registry
from arbench.registry.plugins import PluginInfo


@pytest.fixture(autouse=True)
def _offers(monkeypatch: pytest.MonkeyPatch) -> None:
    def model(name: str, distribution: str) -> Registered[ModelEntry]:
        entry = ModelEntry(name=name, network="a.b:C", summary=f"about {name}")
        return Registered(entry, "plug", distribution, "1.0")

    task = TaskEntry(name="images", task="a.b:C", argument="PATH")
    registry = Registry(
        [
            model("zeta", "one"),
            model("alpha", "one"),
            model("both", "one"),
            model("both", "two"),
            Registered(task, "plug", "one", "1.0"),
        ],
        [
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


def test_a_terminal_of_80_columns_has_every_summary_and_the_options_of_own_data(
    monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    from arbench.registry.manager import registry

    monkeypatch.setattr(list_verb, "registry", registry)
    monkeypatch.setattr("arbench.show.tables.terminal_width", lambda: 80)
    what_matters = dict.fromkeys(("models", "tasks", "loggers", "launchers"), "SUMMARY")
    what_matters |= {"measurements": "BETTER", "plugins": "OFFERS", "zoo": "BITS/DIM +PARAMETERS"}
    for kind, headers in what_matters.items():
        assert main(["list", kind]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert re.search(headers, lines[0])
        assert max(map(len, lines)) <= 80
        if kind == "tasks":
            (begin,) = [n for n, line in enumerate(lines) if line.startswith("images:PATH ")]
            assert "?threshold=N" in " ".join(lines[begin : begin + 4])


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


def test_what_is_wrong_stays_longest(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("arbench.show.tables.terminal_width", lambda: 28)
    main(["list", "plugins"])
    out = capsys.readouterr().out
    assert re.search(r"^broken +RuntimeError: no$", out, re.MULTILINE)
    assert "VERSION, STATUS, OFFERS" in " ".join(out.split())


def test_json_holds_the_same(capsys) -> None:
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in found["models"]] == ["alpha", "zeta"]
    assert [row["task"] for row in found["tasks"]] == ["images:PATH"]
    assert found["clashes"][0]["name"] == "both"


def test_an_empty_kind_says_so(capsys) -> None:
    main(["list", "recipes"])
    assert capsys.readouterr().out.startswith("no recipes")


MEASURE = """
class Base:
    better = "higher"
    needs = ("features",)

class Probe(Base):
    unit: str = "accuracy"
    reads = ("train", "labels:train")
    better = BETTER
"""


def test_measurements_are_read_from_their_source_and_say_what_to_install(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    (tmp_path / "probing.py").write_text("import no_such_library\n" + MEASURE)
    info = tmp_path / "far_away-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: far-away\nVersion: 1.0\nProvides-Extra: probe\n"
        'Requires-Dist: no-such-library>=2; extra == "probe"\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    def offered(name: str, **more: str) -> Registered[MeasurementEntry]:
        entry = MeasurementEntry(name=name, measurement="probing:Probe", **more)  # type: ignore[arg-type]
        return Registered(entry, "plug", "far-away", "1.0")

    lost = MeasurementEntry(name="lost", measurement="nowhere_at_all:Probe")
    measurements = [
        offered("probe", extra="probe"),
        offered("bare"),
        Registered(lost, "plug", "far-away", "1.0"),
    ]
    monkeypatch.setattr(list_verb, "registry", lambda: Registry(measurements))
    assert main(["list", "measurements", "--json"]) == 0
    bare, lost_row, probe = json.loads(capsys.readouterr().out)["measurements"]
    assert bare == {
        "measurement": "bare",
        "unit": "accuracy",
        "better": "higher",
        "reads": "train, labels:train",
        "needs": "features",
        "summary": "",
        "plugin": "far-away",
        "problem": "",
    }
    assert probe["problem"] == "not installed: pip install 'far-away[probe]'"
    assert "no source file of nowhere_at_all" in lost_row["problem"]
    assert (lost_row["reads"], lost_row["needs"]) == ("test", "log_prob")
    main(["list", "measurements"])
    assert "probe" in capsys.readouterr().out
