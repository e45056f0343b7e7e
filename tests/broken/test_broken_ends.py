"""Wrong ways to believe what lies on the disk, and to end, each found out by what is asked."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import torch

from arbench.cli.options import UserPath
from arbench.errors import ArbenchError, ConfigError, Interrupted, PluginError
from arbench.files.strict_json import parse_json
from arbench.files.tensors import load_tensors
from arbench.registry import surroundings
from arbench.registry.surroundings import undisturbed
from arbench.runs.folder import RunFolder, new_run_folder
from arbench.training.checkpoints import CheckpointStore, Progress
from arbench.training.signals import listening_for_stop

# Wrong: as it was, or as one would write it first.


class BelievingStore(CheckpointStore):
    """Holds the tensors against their hash, and believes what stands beside it."""

    def load(self) -> tuple[Progress, dict[str, torch.Tensor], list[str]]:
        state = json.loads((self.folder / "state.json").read_text())
        tensors = load_tensors(self.folder / state["tensors"], sha256=state["sha256"])
        return Progress(**state["progress"]), tensors, []


class ForgettingStore(CheckpointStore):
    """Takes a state without a hash for one of the format that had none."""

    def load(self) -> tuple[Progress, dict[str, torch.Tensor], list[str]] | None:
        path = self.folder / "state.json"
        state = json.loads(path.read_text())
        if "state_sha256" not in state:
            kept = ("tensors", "sha256", "progress")
            path.write_text(json.dumps({"format": 1} | {key: state[key] for key in kept}))
        return super().load()


@contextlib.contextmanager
def shallow(plugin: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Looks at torch's own attributes alone, and forgets that methods are inherited."""
    before = dict(vars(torch))
    yield
    replaced = [name for name, value in before.items() if getattr(torch, name) is not value]
    if replaced:
        raise PluginError(replaced[0])


@contextlib.contextmanager
def keyboard_only(says: Callable[[], str]) -> Iterator[None]:
    """Hears Ctrl-C, and leaves SIGTERM to others."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(says(), signal.SIGINT) from error


def strict_folder(out: Path | None, task: str, model: str) -> RunFolder:
    """Takes what a killed run was writing for somebody's files."""
    assert out is not None
    if any(file.name != ".lock" for file in out.iterdir()):
        raise ConfigError("exists and is not empty")
    return RunFolder(out)


# What is asked of each; an AssertionError says what came out.


def ask_store(store: type[CheckpointStore], folder: Path) -> None:
    """Whether a better best value is believed, and one of a state that has lost its hash."""
    for lost in (False, True):
        made = store(folder / str(lost) / "checkpoint")
        made.save(Progress(step=3, best_nats=2.0), {"w": torch.zeros(1)})
        file = made.folder / "state.json"
        state = json.loads(file.read_text())
        state["progress"]["best_nats"] = 1.0
        if lost:
            del state["state_sha256"]
        file.write_text(json.dumps(state))
        with contextlib.suppress(ArbenchError):
            loaded = made.load()
            raise AssertionError(f"believed {loaded}")


def ask_reader(read: Callable[[str], Any], folder: Path) -> None:
    """Whether of a key twice one is taken, and the levels of a document have no end."""
    for text in ('{"nats": 2.0, "nats": 1.0}', '{"nats": NaN}', "[" * 200_000):
        try:
            found = read(text)
        except ValueError:
            continue
        except RecursionError as error:
            raise AssertionError(f"went down with {text[:9]}") from error
        raise AssertionError(f"took {text} for {found}")


def ask_guard(guard: Callable[..., Any], folder: Path) -> None:
    """Whether a method of all tensors may be replaced."""
    before = torch.Tensor.sigmoid
    try:
        with guard("plugin bad", lambda text: None):
            torch.Tensor.sigmoid = torch.Tensor.tanh  # type: ignore[method-assign]
    except PluginError:
        return
    finally:
        torch.Tensor.sigmoid = before  # type: ignore[method-assign]
        with contextlib.suppress(AttributeError):
            del torch.Tensor.sigmoid
        surroundings.tampered.pop("plugin bad", None)
    raise AssertionError("it went unnoticed")


def ask_ending(ending: Callable[..., Any], folder: Path) -> None:
    """Whether SIGTERM is told, and leaves the process alive."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with pytest.raises(Interrupted, match="go on"), ending(lambda: "go on"):
            os.kill(os.getpid(), signal.SIGTERM)
    except pytest.fail.Exception as error:
        raise AssertionError(f"nobody was told; it would have died of {heard}") from error
    finally:
        signal.signal(signal.SIGTERM, before)


def ask_folder(take: Callable[..., RunFolder], folder: Path) -> None:
    """Whether what was killed in its first write can begin anew."""
    (folder / ".lock").touch()
    (folder / ".config.json.tmp-2222222").touch()
    try:
        take(folder, "task", "model")
    except ConfigError as error:
        raise AssertionError(str(error)) from error


def ask_path(kind: click.Path, folder: Path) -> None:
    """Whether a home folder is one."""
    found = kind.convert("~/x", None, None)
    assert "~" not in str(found), f"made a folder called {found}"


ASKED: dict[str, tuple[Callable[[Any, Path], None], Any, Any]] = {
    "believes a state": (ask_store, BelievingStore, CheckpointStore),
    "takes a lost hash for an old format": (ask_store, ForgettingStore, CheckpointStore),
    "takes the last of two": (ask_reader, json.loads, parse_json),
    "looks at functions alone": (ask_guard, shallow, undisturbed),
    "hears Ctrl-C alone": (ask_ending, keyboard_only, listening_for_stop),
    "takes a half file for somebody's": (ask_folder, strict_folder, new_run_folder),
    "leaves ~ to the shell": (ask_path, click.Path(), UserPath()),
}


@pytest.mark.parametrize("fault", ASKED)
def test_the_wrong_way_is_found_out_and_the_right_one_is_not(fault: str, tmp_path: Path) -> None:
    ask, wrong, right = ASKED[fault]
    for number, way in enumerate((wrong, right)):
        folder = tmp_path / str(number)
        folder.mkdir()
        if way is wrong:
            with pytest.raises(AssertionError):
                ask(way, folder)
        else:
            ask(way, folder)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")
def test_both_signals_are_told() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with pytest.raises(Interrupted) as caught, listening_for_stop(lambda: "go on"):
            os.kill(os.getpid(), number)
        assert caught.value.exit_code == 128 + number
