"""The pictures of a measurement are shown wherever its numbers are, and go where the run goes."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from hub_server import HubServer
from PIL import Image

import arbench
from arbench import Context, Density, Handed, Measured, Measurement
from arbench.boards.boards import make_boards
from arbench.boards.measured_boards import make_measured_boards
from arbench.boards.page import render_page
from arbench.boards.results import read_runs
from arbench.cli import main
from arbench.cli.console import ConsoleReporter, conclude
from arbench.errors import CheckpointError, PluginError
from arbench.files.canonical import sealed
from arbench.hub.card import card_of
from arbench.runs.experiment import Run
from arbench.runs.measuring import measure_run
from arbench.runs.record.record import Record
from arbench.show.pictures import MOST_BYTES, named_pictures, pictures_of
from arbench.show.reporting import Reporter

CHART = ("measurements/ones/ones.png", "measurements/ones/ones.svg")


class Ones(Measurement):
    """How many dims of a test event are 1, with a picture."""

    name = "ones"
    version = "1"
    unit = "dims"
    better = "higher"
    names = ("ones.png", "ones.svg")

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        files = [context.folder / name for name in self.names]
        Image.new("L", (3, 2), 200).save(files[0], format="PNG")
        files[1].write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
        ones = dataset.split("test").events.flatten(1).double().sum(1)
        return self.measured({"ones": ones}, pictures=files)


@pytest.fixture
def measured(run: Path) -> Path:
    """A run with such a measurement."""
    measure_run(run, [Ones()], device="cpu", reporter=Reporter())
    return run


def renamed(run: Path, *pictures: object) -> Record:
    """The run's record, which names other pictures now."""
    raw = json.loads((run / "record.json").read_text())
    raw["measurements"]["ones"]["pictures"] = [*pictures]
    (run / "record.json").write_text(json.dumps(sealed(raw)))
    return Record.read(run / "record.json")


def test_they_are_on_the_hub_and_come_back(
    hub: HubServer, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = arbench.push(measured, "org/floor").commit
    there = hub.files("org/floor")
    assert {name: there[name] for name in CHART} == {
        name: (measured / name).read_bytes() for name in CHART
    }
    linked = re.findall(r"!\[(.*?)\]\((.*?)\)", there["README.md"].decode())
    assert linked == [("samples", "samples.png"), ("ones: ones", CHART[0])]
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "second cache"))
    copy = arbench.download(f"hf:org/floor@{commit}", out=tmp_path / "mine")
    for folder in (arbench.download("hf:org/floor"), copy):
        assert [(folder / name).read_bytes() for name in CHART] == [there[n] for n in CHART]
    assert arbench.push(measured, "org/floor").commit == commit
    (measured / CHART[0]).write_bytes(b"another")
    assert arbench.push(measured, "org/floor").commit != commit


def test_a_repository_brings_only_what_its_record_names(
    hub: HubServer, measured: Path, tmp_path: Path
) -> None:
    (measured / "measurements" / "ones" / "more.png").write_bytes(b"more")
    arbench.push(measured, "org/floor")
    assert "measurements/ones/more.png" not in hub.files("org/floor")
    hub.publish("org/floor", {"measurements/ones/more.png": b"x", "measurements/two.png": b"x"})
    folder = arbench.download("hf:org/floor")
    found = {f.relative_to(folder).as_posix() for f in (folder / "measurements").rglob("*.*")}
    assert found == {*CHART}


def test_what_a_repository_lacks_or_has_too_much_of_is_left_there(
    hub: HubServer, measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arbench.hub.snapshots.MOST_BYTES", 1000)
    renamed(measured, *CHART, "measurements/ones/none.png")
    arbench.push(measured, "org/floor")
    hub.publish("org/floor", {CHART[0]: bytes(1001)})
    folder = arbench.download("hf:org/floor")
    found = {f.relative_to(folder).as_posix() for f in (folder / "measurements").rglob("*.*")}
    assert found == {CHART[1]}


def test_one_that_has_changed_since_it_was_downloaded_is_noticed(
    hub: HubServer, measured: Path
) -> None:
    arbench.push(measured, "org/floor")
    (arbench.download("hf:org/floor") / CHART[0]).write_bytes(b"another")
    with pytest.raises(CheckpointError, match="has 7 bytes, expected"):
        arbench.download("hf:org/floor")


def test_show_names_their_files(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(measured)]) == 0
    shown = capsys.readouterr().out
    for name in CHART:
        assert re.search(rf"{re.escape(str(measured / name))} +picture of ones$", shown, re.M)


def test_the_page_embeds_them_once_and_within_its_limit(measured: Path) -> None:
    def page() -> str:
        results, _ = read_runs(measured.parent)
        return render_page(make_boards(results), make_measured_boards(results))

    encoded = base64.b64encode((measured / CHART[0]).read_bytes()).decode()
    about = "bernoulli, ones: ones"
    assert f'<img alt="{about}" src="data:image/png;base64,{encoded}">' in page()
    assert "image/svg+xml" not in page()
    (measured / CHART[0]).unlink()
    assert f'<img alt="{about}" src="data:image/svg+xml;base64,' in page()
    (measured / CHART[1]).write_bytes(bytes(600_001))
    assert about not in page()


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "measurements/../../secret.png",
        "measurements/../secret.png",
        "/etc/secret.png",
        "measurements/ones/sub/secret.png",
        "measurements/.ones/secret.png",
        "measurements/ones/.secret.png",
        "measurements/ones/a b.png",
        "measurements/ones/x](javascript:alert(1)).png",
        "measurements/ones/page.html",
        "measurements/ones/a.png.html",
        "notes.txt",
    ],
)
def test_a_path_that_is_none_of_a_picture_is_shown_nowhere(measured: Path, name: str) -> None:
    place = measured / name
    if measured.parent in place.resolve().parents:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"secret")
    record = renamed(measured, name, CHART[1])
    sections = record.model_dump(mode="json")["measurements"]
    assert pictures_of(measured, sections) == {"ones": [measured / CHART[1]]}
    assert re.findall(r"!\[.*?\]\((.*?)\)", card_of(measured)) == ["samples.png", CHART[1]]


def test_what_a_link_leads_to_is_no_picture(measured: Path, tmp_path: Path) -> None:
    sections = Record.read(measured / "record.json").model_dump(mode="json")["measurements"]
    secret = tmp_path / "secret.png"
    (measured / CHART[0]).rename(secret)
    (measured / CHART[0]).symlink_to(secret)
    assert pictures_of(measured, sections) == {"ones": [measured / CHART[1]]}
    folder = measured / "measurements" / "ones"
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert pictures_of(measured, sections) == {}


def test_a_record_cannot_name_any_number_of_them_or_any_size(measured: Path) -> None:
    names = [f"measurements/ones/{number}.png" for number in range(1000)]
    assert len(named_pictures({"ones": {"pictures": names}})["ones"]) == 64
    sections = {key: {"pictures": names[:40]} for key in ("one", "two", "three")}
    assert [len(each) for each in named_pictures(sections).values()] == [40, 24]
    assert named_pictures({"a": [], "b": {"pictures": "x"}, "c": {"pictures": [1, None]}}) == {}
    (measured / CHART[0]).write_bytes(bytes(MOST_BYTES + 1))
    there = Record.read(measured / "record.json").model_dump(mode="json")["measurements"]
    assert pictures_of(measured, there) == {"ones": [measured / CHART[1]]}


@pytest.mark.parametrize("names", [("a b.png", "a.svg"), ("a.gif", "a.svg"), ("../a.png", "a.svg")])
def test_a_picture_that_nobody_could_show_is_its_authors_fault(
    run: Path, names: tuple[str, str]
) -> None:
    measurement = Ones()
    measurement.names = names
    with pytest.raises(PluginError, match="is no .png or .svg file in the context's folder"):
        measure_run(run, [measurement], device="cpu", reporter=Reporter())


def test_whoever_measures_is_told_where_they_are(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("arbench.api.measuring.open_measurement", lambda name: Ones())
    arbench.measure_run(run, "ones", device="cpu", reporter=ConsoleReporter())
    assert f"picture of ones: {run / CHART[0]}\n" in capsys.readouterr().err
    conclude(Run(run, Record.read(run / "record.json")))
    told = capsys.readouterr().out
    assert f"picture of ones: {run / CHART[0]}\n" in told
    assert CHART[1] not in told


def test_what_a_result_is_called_makes_no_link_and_no_tag(measured: Path) -> None:
    raw = json.loads((measured / "record.json").read_text())
    raw["measurements"]["ones?](javascript:x) <b> ![y"] = raw["measurements"].pop("ones")
    card = card_of(measured, Record.model_validate_json(json.dumps(sealed(raw))))
    assert re.findall(r"(?<!\\)\]\((.*?)\)", card) == ["samples.png", CHART[0]]
    assert re.findall(r"(?<!\\)<b", card) == []
