"""Every code block of the pages under `docs/` runs: page by page, in order, in an empty folder.

* bash: with `arbench`, `pip` and `pytest` on the path; it stops at the first failure.
* python: alone, in the page's folder.
* a block with `title="path"` is written to that file instead.
* toml without a title is read as TOML.
* text is what is shown, and is not run; nothing else may stand in a fence.

A block that cannot run has `<!-- not run: reason -->` on the line above it.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.training.recipes import options_schema

Shell = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+) -->\n)?"
    r"```(?P<language>\S*)(?: title=\"(?P<title>\S+)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
# Pages that a test of their own follows, and how many blocks elsewhere say that they cannot run.
FOLLOWED_ELSEWHERE = {
    "foreign-models.md": "tests/runs/test_foreign_doc.py",
    "gallery.md": "tests/docs/test_gallery.py",
    "lm-eval.md": "tests/test_lm_eval.py",
    "loggers.md": "tests/plugins/test_tensorboard.py",
}
# Its commands name a package of the reader's own, or take minutes; its verb has tests of its own.
NOT_FOLLOWED = {"checks.md"}
NUM_NOT_RUN = 0
# Pages of which more is tested than that every block runs.
FOLLOWED_BELOW = {"write-a-model.md", "write-a-task.md", "write-a-measurement.md"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    title: str | None
    reason: str | None


def blocks_of(page: Path) -> list[Block]:
    """The page's blocks in order."""
    text = page.read_text()
    found = [Block(**match.groupdict()) for match in FENCE.finditer(text)]
    fences = re.findall(r"^ *(?:```|~~~)", text, re.MULTILINE)
    assert len(fences) == 2 * len(found), f"{page.name}: a fence that is not understood"
    return found


def follow(page: Path, shell: Shell, folder: Path) -> dict[str, str]:
    """Run the page's blocks in a folder; returns what each of them printed.

    The first page is followed in processes that start as a reader's do.
    """
    printed = {}
    for block in blocks_of(page):
        if block.reason is not None or block.language == "text":
            continue
        if block.title is not None:
            assert (folder / block.title).is_file(), f"{block.title} is no file of the page"
            (folder / block.title).write_text(block.text)
        elif block.language == "toml":
            tomllib.loads(block.text)
        else:
            script = block.text if block.language == "bash" else 'python -c "$BLOCK"'
            done = shell(script, folder, fresh=page.name == "index.md", BLOCK=block.text)
            said = f"{page.name}:\n{block.text}\n{done.stdout}\n{done.stderr}"
            assert done.returncode == 0, said
            printed[block.text] = done.stdout
    return printed


PAGES = sorted({page.name for page in DOCS.glob("*.md")} - {*FOLLOWED_ELSEWHERE} - NOT_FOLLOWED)


def test_there_are_pages() -> None:
    assert {"index.md", "write-a-model.md", "contract.md"} <= set(PAGES)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", [name for name in PAGES if name not in FOLLOWED_BELOW])
def test_every_block_runs(name: str, shell: Shell, tmp_path: Path) -> None:
    follow(DOCS / name, shell, tmp_path)


@pytest.mark.timeout(900)
def test_write_a_model_ends_with_a_row_on_a_local_board(shell: Shell, tmp_path: Path) -> None:
    printed = follow(DOCS / "write-a-model.md", shell, tmp_path)
    (board,) = [text for block, text in printed.items() if "arbench leaderboard" in block]
    rows = [line for line in board.splitlines() if re.search(r"\b(above|bernoulli)\b", line)]
    assert len(rows) >= 2, board
    assert "above" in rows[0], "the model of the page is better than independent pixels"
    (compared,) = [text for block, text in printed.items() if "arbench compare" in block]
    assert "runs/above is better" in compared
    # What the page says of the line that declares the blind spots:
    network = tmp_path / "arbench-above" / "arbench_above" / "network.py"
    kept = [line for line in network.read_text().splitlines() if "known_failures" not in line]
    network.write_text("\n".join(kept))
    undeclared = shell("! pytest -q -p no:cacheprovider arbench-above -k influence", tmp_path)
    assert undeclared.returncode == 0, undeclared.stdout
    (quoted,) = [b.text for b in blocks_of(DOCS / "write-a-model.md") if b.language == "text"]
    for words in quoted.strip().split("..."):
        assert words.strip(" ,") in undeclared.stdout


@pytest.mark.timeout(900)
def test_write_a_task_ends_with_a_task_that_passes_its_check(shell: Shell, tmp_path: Path) -> None:
    page = DOCS / "write-a-task.md"
    (printed,) = [text for block, text in follow(page, shell, tmp_path).items() if "check" in block]
    assert "two years of high and low water" in printed
    assert re.search(r"splits_disjoint +1 passed", printed), printed
    task = tmp_path / "arbench-tides" / "arbench_tides" / "task.py"
    task.write_text(task.read_text().replace("shared_events", "not_stated"))
    unstated = shell("! arbench check tides", tmp_path)
    assert unstated.returncode == 0, unstated.stdout
    (quoted,) = [block.text for block in blocks_of(page) if block.language == "text"]
    assert " ".join(quoted.split()) in unstated.stdout


@pytest.mark.timeout(900)
def test_write_a_measurement_ends_with_a_row_on_a_board(shell: Shell, tmp_path: Path) -> None:
    page = DOCS / "write-a-measurement.md"
    printed = follow(page, shell, tmp_path)
    (done,) = [text for block, text in printed.items() if "arbench leaderboard" in block]
    board, compared = done.split("spread: A is better by -")
    rows = [line for line in board.splitlines()[-10:] if re.search(r"\b(fvsbn|nade)\b", line)]
    assert ["fvsbn" in row for row in rows] == [True, False], board
    assert "runs/fvsbn is better" in compared
    (verified,) = [text for block, text in printed.items() if "arbench verify" in block]
    assert re.search(r"^spread holds: recorded", verified, re.MULTILINE), verified
    (python,) = [text for block, text in printed.items() if "import arbench\n" in block]
    assert re.match(r"\d\.\d+ 0\.\d+ nats\nzlib {'lies': \d+, 'stands': \d+}", python), python
    # What the page says of weights that are left out:
    file = tmp_path / "arbench-spread" / "arbench_spread" / "measurement.py"
    text, line = file.read_text(), "    def value_of(self, values, weights):\n"
    file.write_text(text.replace(line, f"{line}        weights = torch.ones_like(weights)\n"))
    unweighted = shell("! arbench check spread", tmp_path)
    assert unweighted.returncode == 0, unweighted.stdout
    (quoted,) = [block.text for block in blocks_of(page) if block.language == "text"]
    for words in quoted.strip().split("..."):
        assert words.strip() in unweighted.stdout


@pytest.mark.parametrize("name", PAGES)
def test_a_block_is_of_a_kind_that_runs(name: str) -> None:
    assert {block.language for block in blocks_of(DOCS / name)} <= {
        "bash",
        "python",
        "toml",
        "text",
    }


def test_blocks_that_cannot_run_are_counted() -> None:
    marked = [block for name in PAGES for block in blocks_of(DOCS / name) if block.reason]
    assert len(marked) == NUM_NOT_RUN


def test_pages_that_are_followed_elsewhere_are() -> None:
    for name, test in FOLLOWED_ELSEWHERE.items():
        assert (DOCS / name).is_file()
        assert name in (ROOT / test).read_text()


def test_the_record_page_explains_every_part() -> None:
    from arbench.runs.record.record import Record

    page = (DOCS / "reading-a-record.md").read_text()
    explained = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert explained == list(Record.model_fields)


@pytest.mark.parametrize("model", registry().models)
def test_a_readme_has_every_setting_of_its_model_in_a_table(model: str) -> None:
    network_class = registry().find(ModelEntry, model).load()
    page = ROOT / "plugins" / network_class.__module__.split(".")[0] / "README.md"
    cells = re.findall(r"^\| (`.*?) \|", page.read_text(), re.MULTILINE)
    told = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert {*options_schema(network_class).model_fields} <= told


TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted(path for room in ("docs", "plugins", "tasks") for path in (ROOT / room).rglob("*.md")),
]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_text_names_are_there(page: Path) -> None:
    rooms = "arbench|docs|leaderboards|plugins|scripts|tasks|tests|zoo"
    named = re.findall(rf"(?<![\w/-])(?:{rooms})/[\w./-]+\.\w+", page.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []
