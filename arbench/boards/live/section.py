"""The section of the page where models can be tried: its HTML, its data and its scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

from arbench.boards.live.models import find_drawing, find_naming, weights_of
from arbench.boards.results import Result
from arbench.boards.rows import Board
from arbench.data.rendering import TextRendering
from arbench.data.tasks import open_task
from arbench.runs.loading import read_config
from arbench.show.escaping import html

_FILES = resources.files("arbench.boards.live")
_SCRIPTS = ("weights", "uniforms", "nade", "lstm", "drawing", "naming")
_DIGITS = "mnist-mini"  # ships with arbench


@dataclass(frozen=True)
class Live:
    """What a page needs where models can be tried; empty where there is none.

    Attributes:
        sections: HTML.
        data: their weights and examples, by the section's name, for JSON.
        script: what sets the sections up.
        style: of the sections.
    """

    sections: str = ""
    data: dict[str, Any] | None = None
    script: str = ""
    style: str = ""


def live(boards: Sequence[Board]) -> Live:
    """The models that can be tried, of results whose runs are at hand.

    Raises:
        ArbenchError: if the weights of one are damaged.
    """
    sections, data = [], {}
    if (drawing := find_drawing(boards)) is not None:
        digits = _digits()
        buttons = "".join(
            f'<button type="button" data-digit="{digit}" aria-label="Example {digit}">{digit}'
            "</button>"
            for digit in range(len(digits))
        )
        test = drawing.record.splits["test"]
        average = f"{test.nats_per_event:.2f}"
        sections.append(_section("drawing", drawing, digits=buttons, average=average))
        data["drawing"] = {"weights": weights_of(drawing), "digits": digits}
    if (naming := find_naming(boards)) is not None:
        sections.append(_section("naming", naming))
        data["naming"] = {"weights": weights_of(naming), **_spelling(naming)}
    if not data:
        return Live()
    script = "\n".join(_asset(f"{name}.js") for name in _SCRIPTS)
    return Live("\n".join(sections), data, script, _asset("live.css"))


def piece_script() -> str:
    """What plays the sampled pieces of music anywhere on the page."""
    return _asset("piece.js")


def _asset(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def _section(name: str, result: Result, **more: str) -> str:
    record = result.record
    texts = {"model": html(record.model.name), "task": html(record.task.name)}
    return Template(_asset(f"{name}.html")).substitute(texts | more)


def _digits() -> list[str]:
    """The first test event of each digit, its pixels as zeros and ones."""
    task = open_task(_DIGITS)
    labels, events = task.load_labels("test").values, task.load("test").events
    firsts = [events[labels == digit][0] for digit in range(10)]
    return ["".join(map(str, event.flatten().tolist())) for event in firsts]


def _spelling(result: Result) -> dict[str, Any]:
    """What a page has to know of the symbols."""
    assert result.folder is not None  # see `find_naming`
    config = read_config(result.folder)
    assert isinstance(config.shown, TextRendering)
    assert config.shown.symbols is not None
    bits = result.record.splits["test"].bits_per_dim
    return {
        "symbols": "".join(config.shown.symbols),
        "end": config.shown.end,
        "longest": config.members[0].layout.event.shape[0],
        "average": None if bits is None else f"{bits:.3f}",
    }
