"""Single edits of a bound run folder, and everybody who reads one.

`used_silently` is what counts: an edit that a reader neither refuses by the name of the file nor
leaves out by it.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

import arbench
from arbench.boards.results import keep_result, read_runs
from arbench.cli import main
from arbench.errors import ArbenchError
from arbench.hub.card import card_of

Edit = Callable[[Path], None]
Place = tuple[str | int, ...]


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Every value in a JSON document, by its way from the top."""
    if place:
        yield place
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*place, key))


def another(value: Any, rng: random.Random) -> Any:
    """A value near by: what an editor, a script or a bad disk would leave."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice([value + 1, value - 1, 2 * value + 1, 0 if value else 3])
    if isinstance(value, float):
        return rng.choice([value * (1 + 1e-9) + 1e-12, -value - 1, value / 2 + 0.1])
    if isinstance(value, str):
        index = rng.randrange(len(value) + 1)
        letter = rng.choice("0123456789abcdef".replace(value[index : index + 1] or "_", ""))
        return rng.choice([value[:index] + letter + value[index + 1 :], value + letter, letter])
    if isinstance(value, list) and len(value) > 1:
        return rng.choice([value[::-1], value[:-1]]) if value[::-1] != value else value[:-1]
    if isinstance(value, dict) and value:
        gone = rng.choice(sorted(value))
        return {key: item for key, item in value.items() if key != gone}
    return rng.choice([1, "x", True])


def json_edit(file: str, rng: random.Random) -> Edit:
    """Another value at one place of a JSON file."""

    def edit(folder: Path) -> None:
        path = folder / file
        before = json.loads(path.read_text())
        after = copy.deepcopy(before)
        place = rng.choice([*places(before)])
        home = after
        for key in place[:-1]:
            home = home[key]
        home[place[-1]] = another(home[place[-1]], rng)
        assert json.dumps(after) != json.dumps(before), place
        path.write_text(json.dumps(after, indent=1))

    return edit


def values_edit(file: str, rng: random.Random) -> Edit:
    """Other per-event values: one of them, two that change places, all in another order."""

    def edit(folder: Path) -> None:
        path = folder / file
        tensors = load(path.read_bytes())
        name = next(name for name in ("likelihood:log_prob", "test") if name in tensors)
        values = tensors[name]
        a, b = rng.sample(range(len(values)), 2)
        kind = rng.randrange(4)
        if kind == 0:
            values[a] += rng.choice([1e-9, -0.3, 5.0])
        elif kind == 1:
            values[[a, b]] = values[[b, a]]
        elif kind == 2:
            generator = torch.Generator().manual_seed(rng.randrange(1 << 30))
            tensors[name] = values[torch.randperm(len(values), generator=generator)]
        else:
            tensors[name] = values.flip(0)
        before = path.read_bytes()
        path.write_bytes(save({key: t.contiguous() for key, t in tensors.items()}))
        assert path.read_bytes() != before

    return edit


def _cli(*arguments: str) -> str | None:
    """What the command line says when it refuses; None if it does not."""
    said = StringIO()
    with redirect_stderr(said), redirect_stdout(StringIO()):
        code = main([*arguments])
    return said.getvalue() if code == 3 else None


def _call(use: Callable[[], object]) -> str | None:
    try:
        use()
    except ArbenchError as error:
        return str(error) if error.exit_code == 3 else None
    return None


def _on_a_board(folder: Path) -> str | None:
    found, left_out = read_runs(folder)
    return None if found else " ".join(left_out)


READERS: dict[str, Callable[[Path, Path], str | None]] = {
    "load": lambda run, twin: _call(lambda: arbench.load(run)),
    "evaluate": lambda run, twin: _call(lambda: arbench.evaluate(run, device="cpu")),
    "verify": lambda run, twin: _call(lambda: arbench.verify(run, device="cpu")),
    "push": lambda run, twin: _call(lambda: arbench.push(run, "org/name")),
    "push --board": lambda run, twin: _call(lambda: keep_result(run, run / "kept")),
    "compare": lambda run, twin: _call(lambda: arbench.compare(run, twin)),
    "leaderboard --runs": lambda run, twin: _on_a_board(run),
    "resume": lambda run, twin: _call(lambda: arbench.resume(run, device="cpu")),
    "sample": lambda run, twin: _cli("sample", str(run), "-n", "1", "--out", str(run / "s.csv")),
    "show": lambda run, twin: _cli("show", str(run)),
    "heatmap": lambda run, twin: _cli("show", str(run), "--heatmap", str(run / "h.png")),
    "card": lambda run, twin: _call(lambda: card_of(run)),
}


def used_silently(
    run: Path, file: str, edit: Edit, scratch: Path, readers: tuple[str, ...] = tuple(READERS)
) -> list[str]:
    """The readers that use a run as if nothing had happened after an edit of one of its files."""
    folder = scratch / "edited"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run, folder)
    edit(folder)
    name = Path(file).name
    return [reader for reader in readers if name not in (READERS[reader](folder, run) or "")]
