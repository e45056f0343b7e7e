"""Models on the page: they compute what torch computes, and can be used by hand and by keyboard."""

from __future__ import annotations

import base64
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from browsing import SIZES, Visit

import arbench
from arbench.boards.boards import make_boards
from arbench.boards.live.models import Packed, find_drawing, find_naming, weights_of
from arbench.boards.live.notes import notes_at_hand, notes_in
from arbench.boards.measured_boards import make_measured_boards
from arbench.boards.page import render_page, write_page
from arbench.boards.results import Result, kept_records, read_results
from arbench.boards.rows import Board
from arbench.data.formats.midi import write_midi
from arbench.data.rendering import MusicRendering
from arbench.data.tasks import open_task
from arbench.runs.loading import load_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LIVE = Path(arbench.__file__).parent / "boards" / "live"
NAMES = ("emma", "olivia", "isabella", "zoe", "christopherjame", "x", "")
MOST_BYTES = 6_000_000


@pytest.fixture(scope="module")
def results() -> list[Result]:
    """All kept ones."""
    return read_results(kept_records())


@pytest.fixture(scope="module")
def boards(results: list[Result]) -> list[Board]:
    """Those of the two tasks whose models can be tried."""
    return make_boards(r for r in results if r.record.task.name in ("mnist", "names"))


@pytest.fixture(scope="module")
def address(boards: list[Board], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the page is."""
    out = tmp_path_factory.mktemp("live")
    write_page(out, boards)
    return (out / "index.html").as_uri()


@pytest.fixture
def scripts(browser: Browser) -> Iterator[Page]:
    """An empty page with the files that compute, and nothing of the page that uses them."""
    page = browser.new_page()
    for name in ("weights", "uniforms", "nade", "lstm"):
        page.add_script_tag(path=LIVE / f"{name}.js")
    yield page
    page.close()


def rounded(packed: Packed) -> torch.Tensor:
    """A tensor as the page has it, flat, in float64."""
    if isinstance(packed, list):
        return torch.tensor(packed, dtype=torch.float64)
    integers = np.frombuffer(base64.b64decode(packed["integers"]), "<i2")
    steps = np.array(packed["steps"])[:, None]
    return torch.from_numpy(integers.reshape(len(steps), -1) * steps).flatten()


def density_of(folder: Path, weights: dict[str, Packed] | None = None) -> Any:
    """The density of a run in float64, with its own weights or those of a page."""
    assembly = load_run(folder)
    network = assembly.network.double()
    if "forward_kernel" in vars(network):
        network.forward_kernel = "blocks"  # for float64 a compiler would take seconds
    if weights is not None:
        own = {name: each.shape for name, each in network.state_dict().items()}
        network.load_state_dict({k: rounded(v).reshape(own[k]) for k, v in weights.items()})
    return assembly.density


def zoo_run(boards: list[Board], find: Any) -> tuple[Path, dict[str, Packed]]:
    """The folder of a model that the page has, and its weights there."""
    result = find(boards)
    assert result is not None
    assert result.folder is not None
    return result.folder, weights_of(result)


def digits() -> torch.Tensor:
    """Real digits, two of each."""
    task = open_task("mnist-mini")
    return task.load("test").events[::50].long()


WALK = """([packed, events, given, seed]) => {
  const model = new NADE(weights.decode(packed));
  return events.map((event, i) => {
    const {values, probabilities, nats} = model.walk(event, given, uniforms(seed + i));
    const drawn = uniforms(seed + i);
    return [values, probabilities, nats].map((each) => [...each])
      .concat([event.slice(given).map(() => drawn())]);
  });
}"""


def test_every_number_of_16_bits_is_read(scripts: Page) -> None:
    integers = np.arange(-(1 << 15), 1 << 15).astype("<i2")
    packed = {
        "steps": [0.5, 3.0],
        "integers": base64.b64encode(integers.tobytes()).decode(),
    }
    read = scripts.evaluate("packed => [...weights.decode({packed}).packed]", packed)
    assert np.array_equal(np.array(read), np.repeat([0.5, 3.0], 1 << 15) * integers)


def test_a_drawing_has_the_nats_of_torch(scripts: Page, boards: list[Board]) -> None:
    folder, weights = zoo_run(boards, find_drawing)
    events = digits()
    walked = scripts.evaluate(WALK, [weights, events.flatten(1).tolist(), 784, 0])
    nats = np.array([np.sum(each[2]) for each in walked])
    with torch.no_grad():
        same = -density_of(folder, weights).log_prob(events).numpy()
        own = -density_of(folder).log_prob(events).numpy()
    assert nats == pytest.approx(same, abs=1e-9)
    errors = nats - own  # of 16 bits a weight
    print(np.abs(errors).max(), errors.mean(), (errors**2).mean() ** 0.5)
    assert np.sqrt((errors**2).mean()) < 1e-3
    assert np.abs(errors).max() < 3e-3


def test_a_completion_is_drawn_from_the_conditionals_of_torch(
    scripts: Page, boards: list[Board]
) -> None:
    folder, weights = zoo_run(boards, find_drawing)
    events, given = digits(), 14 * 28
    walked = scripts.evaluate(WALK, [weights, events.flatten(1).tolist(), given, 7])
    values, probabilities, nats = (np.array([each[i] for each in walked]) for i in range(3))
    assert np.array_equal(values[:, :given], events.flatten(1)[:, :given])
    assert 0.05 < values[:, given:].mean() < 0.3
    drawn = torch.from_numpy(values).reshape(events.shape)
    with torch.no_grad():
        density = density_of(folder, weights)
        logits = density.network(density.layout.to_sites(drawn))[..., 0]
        log_probs = density.log_prob(drawn)
    assert probabilities == pytest.approx(torch.sigmoid(logits).numpy(), abs=1e-12)
    assert nats.sum(1) == pytest.approx(-log_probs.numpy(), abs=1e-9)
    uniforms = np.array([each[3] for each in walked])
    assert 0.48 < uniforms.mean() < 0.52
    assert np.array_equal(values[:, given:], uniforms >= 1 - probabilities[:, given:])


def test_a_name_has_the_nats_of_torch(scripts: Page, boards: list[Board]) -> None:
    folder, weights = zoo_run(boards, find_naming)
    spelled = [[ord(letter) - 96 for letter in name] + [0] for name in NAMES]
    found = scripts.evaluate(
        """([packed, names]) => {
          const model = new LSTM(weights.decode(packed));
          return names.map((name) => {
            const state = model.start();
            return name.map((symbol, site) =>
              -Math.log(model.step(state, site ? name[site - 1] : null)[symbol]));
          });
        }""",
        [weights, spelled],
    )
    nats = np.array([sum(each) for each in found])
    events = torch.tensor([each + [0] * (16 - len(each)) for each in spelled])
    scored = torch.arange(16) < torch.tensor([[len(each)] for each in spelled])
    with torch.no_grad():
        same = -density_of(folder, weights).log_prob(events, scored).numpy()
        own = -density_of(folder).log_prob(events, scored).numpy()
    assert nats == pytest.approx(same, abs=1e-9)
    assert nats == pytest.approx(own, abs=1e-3)


# A copy, because the browser warns of a canvas that is read more than once.
COPY = """const canvas = document.createElement("canvas");
const copy = canvas.getContext("2d", {willReadFrequently: true});
copy.canvas.width = copy.canvas.height = 336;
copy.drawImage(document.getElementById("drawing"), 0, 0);"""


def told(page: Page) -> list[list[str]]:
    """The numbers below the drawing."""
    rows: list[list[str]] = page.locator(".surprise tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].slice(1).map((cell) => cell.textContent))"
    )
    return rows


def white(page: Page) -> int:
    """How many pixels of the drawing are the user's."""
    many: int = page.evaluate(
        f"""() => {{
          {COPY}
          const middle = (site) => copy.getImageData(
            site % 28 * 12 + 5, Math.floor(site / 28) * 12 + 6, 1, 1).data;
          return [...Array(784).keys()].filter((site) => middle(site)[0] === 255).length;
        }}"""
    )
    return many


@pytest.mark.parametrize("size", SIZES)
def test_examples_have_their_nats_and_one_draws_by_pointer(
    visit: Visit, address: str, boards: list[Board], size: str
) -> None:
    page = visit(address, "live", size=size, reduced_motion="reduce")
    page.get_by_role("button", name="Example 7").click()
    (own, drawn, whole) = told(page)
    assert own[0] == drawn[0] == "392"
    assert float(own[1]) + float(drawn[1]) == pytest.approx(float(whole[1]), abs=2e-3)
    page.get_by_label("Rows that you draw").fill("28")
    folder, weights = zoo_run(boards, find_drawing)
    labels = open_task("mnist-mini").load_labels("test").values
    seven = open_task("mnist-mini").load("test").events[labels == 7][:1]
    with torch.no_grad():
        nats = -float(density_of(folder, weights).log_prob(seven.long()))
    own, drawn, whole = told(page)
    assert float(own[1]) == float(whole[1]) == pytest.approx(nats, abs=6e-4)
    assert drawn == ["0", "0.000", "–"]
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1]
    box = page.locator("#drawing").bounding_box()
    assert box is not None
    assert box["width"] >= 180
    page.get_by_label("Rows that you draw").fill("14")
    page.get_by_role("button", name="Clear").click()
    assert white(page) == 0
    before = told(page)[0][1]
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.2, steps=4)
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.9, steps=4)
    page.mouse.up()
    many = white(page)
    assert 40 < many < 80  # 2 to 3 pixels wide
    page.get_by_label("Rows that you draw").fill("28")
    assert white(page) == many  # and nothing below the line
    page.get_by_label("Rows that you draw").fill("14")
    assert float(told(page)[0][1]) > float(before) + 10
    page.get_by_label("erase").check()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.5, steps=4)
    page.mouse.up()
    assert 15 < white(page) < 45


def test_everything_can_be_tried_by_keyboard(visit: Visit, address: str) -> None:
    page = visit(address, "live", reduced_motion="reduce")
    page.get_by_role("button", name="Clear").click()
    empty = told(page)
    page.keyboard.press("Tab")
    page.locator("#drawing").focus()
    page.keyboard.press("ArrowRight")
    assert "Row 7, column 11" in page.locator("#drawing-said").inner_text()
    page.keyboard.press("Space")
    assert white(page) == 1
    assert told(page)[0] != empty[0]
    page.keyboard.press("Space")
    assert told(page) == empty
    page.keyboard.press("Enter")
    assert told(page)[0] == empty[0]
    assert told(page)[1] != empty[1]
    page.get_by_label("First letters").fill("Chri")
    names = page.locator("#names li").all_inner_texts()
    assert len(names) == 8
    assert all(name.startswith("chri") for name in names)
    page.get_by_role("button", name="Other names").press("Enter")
    assert page.locator("#names li").all_inner_texts() != names
    assert page.locator("#next b").first.inner_text() == "s"


def test_one_can_watch_unless_motion_is_unwelcome(visit: Visit, address: str) -> None:
    green = f"""() => {{
      {COPY}
      const {{data}} = copy.getImageData(0, 170, 336, 160);
      return data.filter((value, i) => i % 4 === 1 && value === 201).length;
    }}"""
    click = "document.querySelector('[data-digit=\"8\"]').click();"
    page = visit(address, "live", reduced_motion="no-preference")
    assert page.evaluate(green.replace("{", "{" + click, 1)) == 0
    page.evaluate(f"""async () => {{
      while (({green})() < 1000) await new Promise(requestAnimationFrame);
    }}""")
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(green.replace("{", "{" + click, 1)) > 1000


def test_the_notes_are_those_of_the_first_piece() -> None:
    pytest.importorskip("mido", reason="MIDI is written by mido: pip install 'arbench[music]'")
    pieces = np.zeros((30, 88), dtype=np.bool_)
    pieces[:3, 39] = pieces[1, 43] = pieces[24:, 50] = True  # a bar of 16 steps lies between
    midi = write_midi(pieces, steps_per_beat=4, beats_per_minute=90)
    shown = MusicRendering(steps_per_beat=4, beats_per_minute=90)
    found = notes_in(midi, shown, "it")
    assert found == {"step_s": 60 / 90 / 4, "steps": 3, "notes": [[60, 0, 3], [64, 1, 1]]}


def test_a_piece_sounds_as_it_is_written(scripts: Page) -> None:
    scripts.add_script_tag(path=LIVE / "piece.js")
    piece = {"step_s": 0.25, "steps": 3, "notes": [[69, 0, 1], [57, 2, 1], [60, 2, 1]]}
    sound = scripts.evaluate(
        """async (piece) => {
          const context = new OfflineAudioContext(1, 8000, 8000);
          soundPiece(context, piece, 0);
          return [...(await context.startRendering()).getChannelData(0)];
        }""",
        piece,
    )
    time = np.arange(8000) / 8000

    def loudness(hertz: float, step: int) -> float:
        part = slice(int(2000 * step + 400), int(2000 * step + 1600))
        return float(abs(np.mean(np.array(sound)[part] * np.exp(2j * np.pi * hertz * time[part]))))

    for step, sounding in ((0, {440.0}), (1, set()), (2, {220.0, 261.63})):
        for hertz in (440.0, 220.0, 261.63, 330.0):
            assert (loudness(hertz, step) > 0.01) is (hertz in sounding), (step, hertz)


def test_a_sampled_chorale_is_seen_and_played(
    visit: Visit, results: list[Result], tmp_path: Path
) -> None:
    every = [result for result in results if result.record.task.name == "jsb-chorales"]
    write_page(tmp_path, make_boards(every))
    page = visit((tmp_path / "index.html").as_uri(), "jsb-chorales")
    pieces = page.locator(".piece")
    assert pieces.count() == len(every)
    for result, piece in zip(every, pieces.all(), strict=True):
        notes = notes_at_hand(result)
        assert notes is not None
        assert piece.locator("rect").count() == len(notes["notes"]) > 50
    button = pieces.first.get_by_role("button")
    button.click()
    assert button.inner_text() == "Stop"
    button.press("Enter")
    assert button.inner_text() == "Play"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_it_works_from_a_server_too(visit: Visit, boards: list[Board], tmp_path: Path) -> None:
    write_page(tmp_path, boards)
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = visit(f"http://127.0.0.1:{server.server_port}/", "live", reduced_motion="reduce")
        assert told(page)[2][0] == "784"
        server.shutdown()


def test_what_cannot_be_tried_is_not_offered(boards: list[Board]) -> None:
    names = [board for board in boards if board.task == "names"]
    assert 'id="drawing"' in render_page(boards)
    assert 'id="drawing"' not in render_page(names)
    assert 'id="prefix"' in render_page(names)
    assert 'href="#live"' not in render_page([])


def test_the_whole_page_stays_small(results: list[Result]) -> None:
    page = render_page(make_boards(results), make_measured_boards(results))
    assert len(page.encode()) < MOST_BYTES


@pytest.mark.slow
def test_something_is_seen_within_a_second(
    browser: Browser, results: list[Result], tmp_path: Path
) -> None:
    write_page(tmp_path, make_boards(results), make_measured_boards(results))
    paints = []
    for _ in range(3):
        page = browser.new_page(viewport=SIZES["phone"])
        page.goto((tmp_path / "index.html").as_uri())
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
        paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        paints.append(page.evaluate(paint))
        page.close()
    assert min(paints) < 1000
