"""The HTML page of all boards (`arbench leaderboard --html`): one self-contained file.

Tables are made here, and are complete without JavaScript; `page_template/` sorts and filters
them and draws the plots from the numbers in the page. Everything that comes from data is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from itertools import groupby
from pathlib import Path
from string import Template

from arbench.boards.live.section import live, piece_script
from arbench.boards.measured_boards import MeasuredBoard
from arbench.boards.measured_text import ABOUT_MEASURED, measured_html
from arbench.boards.page_media import curve, gallery, pictures
from arbench.boards.page_table import caption, csv_link, records, strip, table
from arbench.boards.rows import Board
from arbench.files.atomic import make_folder, require_file, write_text
from arbench.show.escaping import html, printable
from arbench.version import __version__

_OF_RESULTS = """<label><input type="checkbox" name="verified"> verified only</label>
<label>size <select name="size"><option value="">any</option>
<option value="1e5">up to 100,000 parameters</option><option value="1e6">up to 1 million</option>
<option value="1e7">up to 10 million</option></select></label>"""
_LIVE = Template("""<section class="task" id="live" aria-labelledby="title-live">
<h2 id="title-live" tabindex="-1">Try it</h2>
$sections
</section>""")
_LEAD = (
    '<p><a class="try" href="#live">Try it: draw half a digit, and a model draws the rest</a></p>'
)
_SCRIPTS = ("table.js", "plot.js", "page.js")
_FILES = resources.files("arbench.boards") / "page_template"


def write_page(out: Path, boards: Sequence[Board], measured: Sequence[MeasuredBoard] = ()) -> None:
    """Write `index.html` into a folder, which is made if need be.

    Args:
        out: the folder.
        boards: of `find_boards` or `make_boards`.
        measured: those of other measurements on the same tasks.

    Raises:
        ConfigError: if the folder cannot be made or written.
    """
    make_folder(out)
    page = out / "index.html"
    require_file(page, page.name)
    write_text(page, render_page(boards, measured))


def render_page(boards: Sequence[Board], measured: Sequence[MeasuredBoard] = ()) -> str:
    """The page as HTML; see `write_page`."""
    tasks = {task: [*group] for task, group in groupby(boards, lambda board: board.task)}
    numbers = {board.key: _numbers(board) for board in boards}
    tried = live(boards)
    return Template(_asset("page.html")).substitute(
        style=_asset("page.css") + tried.style,
        script="\n".join([tried.script, piece_script(), *map(_asset, _SCRIPTS)]),
        live=_LIVE.substitute(sections=tried.sections) if tried.data else "",
        live_link='<li><a href="#live">Try it</a></li>' if tried.data else "",
        live_option='<option value="live">Try it</option>' if tried.data else "",
        live_lead=_LEAD if tried.data else "",
        live_data=_script_json(tried.data or {}),
        numbers=_script_json(numbers),
        links="\n".join(f'<li><a href="#{html(t)}">{html(t)}</a></li>' for t in tasks),
        options="\n".join(f'<option value="{html(t)}">{html(t)}</option>' for t in tasks),
        cards="\n".join(_card(task, tasks[task]) for task in tasks),
        tasks="\n".join(
            _task(task, tasks[task], [board for board in measured if board.task == task])
            for task in tasks
        ),
        version=html(__version__),
    )


def _asset(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def _script_json(value: object) -> str:
    """JSON that nothing can end before its script element does."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # what is not ASCII is escaped
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _card(task: str, boards: Sequence[Board]) -> str:
    """A task in the overview: its best result, and where all others lie."""
    board = max(boards, key=lambda board: board.num_results)
    best = next((row for row in board.rows if row.is_result), None)
    about = "" if best is None else f"<p><b>{html(best.model)}</b> {caption(board, best.score)}</p>"
    return f"""<li><a class="card" href="#{html(task)}"><h3>{html(task)}</h3>
{about}{strip(board)}<p class="quiet">{_counts(boards)}</p></a></li>"""


def _counts(boards: Sequence[Board]) -> str:
    own = sum(board.num_results for board in boards)
    published = sum(board.num_published for board in boards)
    results = f"{own} {'result' if own == 1 else 'results'}"
    return results + (f", {published} published" if published else "")


def _task(task: str, boards: Sequence[Board], measured: Sequence[MeasuredBoard]) -> str:
    sections = "\n".join(
        [*map(_board, boards), *(measured_html(b) + pictures(b) for b in measured)]
    )
    if measured:
        sections += f'\n<p class="quiet">{html(ABOUT_MEASURED)}</p>'
    hashes = dict.fromkeys(board.data_sha256 for board in boards if board.data_sha256 is not None)
    data = "".join(f" · data <code title={_quoted(h)}>{h[:12]}</code>" for h in hashes)
    return f"""<section class="task" id="{html(task)}" aria-labelledby="title-{html(task)}">
<h2 id="title-{html(task)}" tabindex="-1">{html(task)}</h2>
<p class="quiet">{_counts(boards)}{data}</p>
{sections}
{gallery(boards)}
</section>"""


def _quoted(text: str) -> str:
    return f'"{html(text)}"'


def _board(board: Board) -> str:
    key = html(board.key)
    heading = {
        "exact": "Exact likelihoods",
        "density": "Densities",
        "bound": "Bounds and estimates",
    }[board.kind]
    heading += f" ({html(board.data)})" if board.data else ""
    figures = ""
    if board.num_results:
        figures = f"""<div class="figures">
<figure class="plot" data-plot="speed"><figcaption>
<h4>{html(board.measure)} and sampling speed</h4>
<label class="device">on <select aria-label="Device"></select></label></figcaption>
<div class="canvas"></div>
<p class="quiet">Lower is better, further right is faster. Filled: nothing is better in both.
<span class="beyond" hidden>▲ lies above the scale.</span></p></figure>
<figure class="plot" data-plot="curves"><figcaption><h4>Training curves</h4></figcaption>
<div class="canvas"></div><p class="quiet">{html(board.measure)} on validation over training
time, of runs whose curve is here.</p></figure>
</div>"""
    compressors = ""
    if any(row.status == "compressor" for row in board.rows):
        compressors = """
<label><input type="checkbox" value="compressor" checked> compressors</label>"""
    return f"""<div class="board" data-board="{key}">
<h3>{heading}</h3>
{figures}
<form class="filters" role="search" aria-label="Rows of {html(board.title)}">
<label class="find"><span>Find</span><input type="search" placeholder="model, paper, recipe"
 autocomplete="off" spellcheck="false"></label>
<label><input type="checkbox" value="own" checked> results</label>
<label><input type="checkbox" value="published" checked> published</label>{compressors}
{_OF_RESULTS if board.num_results else ""}
<span class="shown"><output aria-live="polite"></output> · {csv_link(board, "")}</span>
</form>
{table(board, key)}
</div>
{records(board)}"""


def _numbers(board: Board) -> dict[str, object]:
    """What the plots need."""
    return {
        "measure": printable(board.measure),
        "rows": [
            {
                "model": printable(row.model),
                "score": row.score,
                "error": row.score_error,
                "speeds": [
                    {k: printable(v) if isinstance(v, str) else v for k, v in vars(speed).items()}
                    for speed in row.speeds
                ],
                "curve": curve(row),
            }
            for row in board.rows
        ],
    }
