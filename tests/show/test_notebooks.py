"""What a notebook shows: bars, runs, records and events, and the notebook of the docs itself."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import soundfile
import torch
from nbclient import NotebookClient
from PIL import Image

import arbench
from arbench.data.rendering import AudioRendering, TextRendering
from arbench.errors import ConfigError
from arbench.probability.events import Discrete, EventSpec
from arbench.show.notebooks.bars import NotebookReporter, usual_reporter
from arbench.show.notebooks.embedding import files_html
from arbench.show.notebooks.events import Shown
from arbench.show.reporting import Reporter

ROOT = Path(__file__).parents[2]


def embedded(html: str, kind: str) -> list[bytes]:
    """The files of a kind that lie inside a page."""
    return [base64.b64decode(data) for data in re.findall(rf'"data:{kind};base64,([^"]+)"', html)]


def test_images_are_a_picture_of_their_pixels() -> None:
    spec = EventSpec((1, 4, 4), Discrete(2))

    class Density:
        pass

    density: Any = Density()
    density.spec = spec
    event = torch.eye(4, dtype=torch.int64)[None]
    for events in (event, event[None]):
        shown = arbench.show(events, density)
        (png,) = embedded(shown._repr_html_(), "image/png")
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
        scale = pixels.shape[0] // 8  # 4 pixels and two gaps of 2
        inside = pixels[scale // 2 :: scale, scale // 2 :: scale][2:6, 2:6]
        assert np.array_equal(inside == 255, np.eye(4, dtype=bool))
    assert repr(shown) == "1 events (1, 4, 4), shown as image"


def test_texts_are_text_and_no_markup() -> None:
    rendering = TextRendering(symbols=("<", "b", ">", "\x1b"))
    spec = EventSpec((4,), Discrete(4))
    shown = Shown(torch.tensor([[0, 1, 2, 3]]), spec, rendering)
    assert "<pre>&lt;b&gt;\ufffd" in shown._repr_html_()
    assert repr(shown) == "<b>\ufffd"


def test_sounds_can_be_heard() -> None:
    rendering = AudioRendering(sample_rate=8000, companding="mu-law")
    spec = EventSpec((400,), Discrete(256))
    shown = Shown(torch.randint(0, 256, (2, 400)), spec, rendering)
    (wav,) = embedded(shown._repr_html_(), "audio/wav")
    assert soundfile.info(io.BytesIO(wav)).samplerate == 8000
    assert len(embedded(shown._repr_html_(), "image/png")) == 1


def test_rows_are_a_table_of_the_first_ones(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("".join(f"{n},<i>\n" for n in range(30)))
    html = files_html([tmp_path / "rows.csv"])
    assert html.count("<tr>") == 20
    assert "10 more lines" in html
    assert "&lt;i&gt;" in html


@pytest.mark.parametrize(
    ("events", "of", "words"),
    [
        (torch.zeros(2, 3), "mnist-mini", r"show\(events, of\).*got \(2, 3\)|shape"),
        (torch.full((1, 1, 28, 28), 7), "mnist-mini", "found 7"),
        (torch.zeros(2, 3), None, "expected the name of a task.*got NoneType"),
    ],
)
def test_other_events_are_refused(events: torch.Tensor, of: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        arbench.show(events, of)


def test_a_run_has_its_numbers_and_its_samples() -> None:
    run = arbench.open_run("mnist-mini/nade")
    html = run._repr_html_()
    assert "100.39" in html
    (png, *_) = embedded(html, "image/png")
    assert png == (run.folder / "samples.png").read_bytes()
    record = arbench.Record.read(run.folder / "record.json")
    assert record._repr_html_() in html


def test_outside_of_a_notebook_nobody_watches() -> None:
    assert type(usual_reporter()) is Reporter


def test_the_notebook_of_the_docs_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(ROOT / "docs" / "first-notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    ran, digits, log_probs, names, board = (
        cell.outputs for cell in notebook.cells if cell.cell_type == "code"
    )
    shown = [str(output.data.get("text/html", "")) for output in ran if "data" in output]
    assert any(re.search(r"fitting <progress value=\"1.000\".*100%, \d+ s", html) for html in shown)
    assert "bernoulli on toy-markov" in shown[-1]
    assert embedded(digits[-1].data["text/html"], "image/png")
    assert log_probs[-1].data["text/plain"].count("-") == 8
    assert len(names[-1].data["text/plain"].splitlines()) == 6
    assert "nade" in board[-1].data["text/html"]


def test_a_bar_is_drawn_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    class Handle:
        def update(self, html: str) -> None:
            drawn.append(html)

    class Display:
        HTML = str

        @staticmethod
        def display(html: str, *, display_id: bool) -> Handle:
            assert display_id
            drawn.append(html)
            return Handle()

    monkeypatch.setitem(__import__("sys").modules, "IPython.display", Display)
    with NotebookReporter().bar("training <i>") as advance:
        advance(1.0, "best & last")
    assert 'value="0.000"' in drawn[0]
    assert "training &lt;i&gt;" in drawn[0]
    assert "best &amp; last" in drawn[1]
    assert 'value="1.000"' in drawn[-1]
