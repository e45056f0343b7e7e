"""Pushing: a run, results with their boards, or their page onto the Hub, each in one commit."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from arbench.errors import ArbenchError, CheckpointError, ConfigError, DataError
from arbench.experiment.binding import unbound_note
from arbench.experiment.config import RunConfig
from arbench.experiment.files import write_text
from arbench.experiment.folders import RunFolder
from arbench.experiment.loading import load_run, read_config
from arbench.experiment.log_probs import read_log_probs, test_of
from arbench.experiment.records import Record
from arbench.experiment.run import Run
from arbench.experiment.tasks import open_task
from arbench.publish.board_text import board_pages
from arbench.publish.boards import find_boards
from arbench.publish.card import card_of
from arbench.publish.hub import Hub
from arbench.publish.page import write_page
from arbench.publish.plausibility import require_plausible
from arbench.publish.repositories import Repo, parse_repo
from arbench.publish.results import (
    board_fault,
    keep_result,
    keep_speeds,
    kept_records,
    read_results,
)
from arbench.publish.snapshots import EXTRAS, blamed_on
from arbench.publish.speeds import SpeedReport
from arbench.publish.zoo import HUB_PREFIX
from arbench.registry.entries import NAME_PATTERN
from arbench.registry.manager import registry

_RESULT = re.compile(
    rf"records/{NAME_PATTERN}/({NAME_PATTERN}-[0-9a-f]{{8}}\.(json|safetensors)"
    rf"|speed/{NAME_PATTERN}-[0-9a-f]{{8}}\.speed-[a-z0-9-]+\.json)"
)
_NOTES = shutil.ignore_patterns("verified")
# From the head's commit, the files that a commit on top of it is to hold.
Prepare = Callable[[Hub, str], Mapping[str, Path | bytes]]
_MOST_BYTES = 64 << 20  # of one file of a board: eight million events


@dataclass(frozen=True)
class Pushed:
    """What is on the Hub now."""

    repo: Repo
    commit: str
    url: str


def check_push(
    namespace: str, *, task: str | None, model: str | None, resume: Path | None = None
) -> None:
    """Find out, before a training, whether `push_trained` could push it.

    Args:
        namespace: a user or an organisation.
        task: of a new run, as users type it.
        model: of a new run, as users type it.
        resume: the folder of a run that goes on, which has both already.

    Raises:
        ConfigError: if they make no name of a repository, or there is no such task or model.
        CheckpointError: if there is no run to go on.
        NetworkError: if the user may not push there; the line says why.
    """
    if resume is not None:
        config = read_config(resume)
        task, model = config.task, config.model
    else:
        assert task is not None
        assert model is not None
        task, model = open_task(task).name, registry().model(model).entry.name
    parse_repo(_name_of(namespace, task, model))
    Hub().check_access(namespace)


def _name_of(namespace: str, task: str, model: str) -> str:
    return f"{namespace}/{task}-{model}"


def push_run(path: Path, name: str, *, private: bool = False) -> Pushed:
    """Put a finished run into a model repository: weights, configuration, record, card, samples.

    Args:
        path: the run folder.
        name: "org/name"; the repository is made if it does not exist.
        private: make it for the owner's eyes.

    Raises:
        ConfigError: if the run has no weights that others could load, or the name is none.
        CheckpointError: if it is unfinished, or its files are damaged or links.
        NetworkError: if the Hub does not take it; it then holds all of the run or nothing.
    """
    repo = parse_repo(name)
    files = _run_files(path)
    record = Record.read(RunFolder(path).record)
    card = card_of(path, load_as=f"{HUB_PREFIX}{name}")
    contents: dict[str, Path | bytes] = {**files, "README.md": card.encode()}
    message = f"{record.model.name} on {record.task.name}"
    return _push(repo, message, lambda hub, head: contents, private=private)


def push_trained(run: Run, namespace: str) -> Pushed:
    """Put a run that has just finished into `namespace/<task>-<model>`.

    Raises:
        ArbenchError: as `push_run` does; the line also says how to finish the push.
    """
    name = _name_of(namespace, run.record.task.name, run.record.model.name)
    try:
        return push_run(run.path, name)
    except ArbenchError as error:
        error.args = (
            f"{error}. The run is complete: `arbench push {run.path} --to {name}` puts it there",
        )
        raise


def _run_files(path: Path) -> dict[str, Path]:
    """What is pushed of a run, after loading it as others will.

    Raises:
        ConfigError: if there are no weights.
        CheckpointError: if something is not as it must be.
    """
    folder = RunFolder(path)
    if not folder.record.exists() and not folder.config.exists():
        raise CheckpointError(f"{path}: no such run")
    if folder.record.exists() and Record.read(folder.record).foreign is not None:
        raise ConfigError(
            f"{path}: its weights are not here, so there is nothing that others could load; its "
            "record can go onto a board, with --board"
        )
    RunConfig.read(folder.config)
    folder.require_finished()
    test_of(Record.read(folder.record), path)
    needed = (folder.config, folder.record, folder.model, folder.log_probs)
    extras = [file for file in sorted(path.iterdir()) if EXTRAS.fullmatch(file.name)]
    files = {file.name: file for file in (*needed, *extras)}
    for file in files.values():
        if file.is_symlink() or not file.is_file():
            raise CheckpointError(f"{file}: expected a file of the run itself, not a link")
    load_run(path)
    record = Record.read(folder.record)
    if note := unbound_note(path, record.is_bound):
        raise CheckpointError(f"{note}, and then it can be pushed")
    require_plausible(record, read_log_probs(record, folder.log_probs).values, str(path))
    return files


def push_board(name: str, runs: Sequence[Path] = (), *, private: bool = False) -> Pushed:
    """Put results onto a board, one file each, and bring its pages up to date with all results.

    Several may do so at once: whoever comes second makes the pages again, with the other's rows.

    Args:
        name: "org/name" of the dataset repository.
        runs: run folders whose results go there; none for all that come with arbench.
        private: for a board that does not exist yet.

    Raises:
        ConfigError: if a run can be on no board, or the name is none.
        DataError: if the board holds what is no record.
        NetworkError: if the Hub does not take it.
    """
    repo = parse_repo(name, "dataset")
    with TemporaryDirectory() as scratch:
        own, board = Path(scratch) / "own", Path(scratch) / "board"
        if runs:
            for run in runs:
                keep_result(run, own / "records")
                for report in sorted(run.glob("speed-*.json")):
                    keep_speeds(report, own / "records")
        else:
            shutil.copytree(kept_records(), own / "records", ignore=_NOTES)

        def prepare(hub: Hub, head: str) -> dict[str, Path | bytes]:
            _mirror(hub, repo, head, board)
            shutil.copytree(own, board, dirs_exist_ok=True)
            files = {
                file.relative_to(own).as_posix(): file
                for file in sorted(own.rglob("*"))
                if file.is_file()
            }
            return files | _pages(board / "records")

        count = len([*own.glob("records/*/*.json")])
        message = f"{count} {'result' if count == 1 else 'results'}"
        return _push(repo, message, prepare, private=private)


def push_space(name: str, *, private: bool = False) -> Pushed:
    """Put the page of all boards onto the Hub as a static Space.

    Args:
        name: "org/name" of the Space.
        private: for a Space that does not exist yet.

    Raises:
        ConfigError: if the name is none.
        NetworkError: if the Hub does not take it.
    """
    repo = parse_repo(name, "space")
    boards, _ = find_boards(None)
    about = {
        "title": "arbench leaderboards",
        "sdk": "static",
        "app_file": "index.html",
        "tags": ["arbench", "leaderboard"],
    }
    with TemporaryDirectory() as scratch:
        out = Path(scratch)
        write_page(out, boards)
        write_text(out / "README.md", _with_metadata(about, "# arbench leaderboards\n"))
        contents = {
            file.relative_to(out).as_posix(): file
            for file in sorted(out.rglob("*"))
            if file.is_file()
        }
        return _push(repo, "Page of all boards", lambda hub, head: contents, private=private)


def _with_metadata(metadata: Mapping[str, object], text: str) -> str:
    """A page of the Hub: YAML between dashes, then Markdown."""
    return f"---\n{yaml.safe_dump(dict(metadata), sort_keys=False)}---\n{text}"


def _mirror(hub: Hub, repo: Repo, head: str, board: Path) -> None:
    """Make a folder hold the results of a board at a commit; what it has already is not fetched.

    Raises:
        DataError: if one of them is no result.
    """
    there = {p: f for p, f in hub.files(repo, head).items() if _RESULT.fullmatch(p)}
    for path, file in sorted(there.items()):  # a record before its log-probabilities
        local = board / path
        if local.is_file() and file.digest_of(local) == file.digest:
            continue
        if file.size > _MOST_BYTES:
            raise DataError(f"{repo}: {path} has {file.size:,} bytes; no result is that large")
        hub.download(repo, head, [file], board)
        with blamed_on(str(repo), board):
            _check_result(local)
    for local in [*board.glob("records/*/*.*"), *board.glob("records/*/speed/*.json")]:
        if local.relative_to(board).as_posix() not in there:
            local.unlink()  # of a head that was looked at before, and removed since
    for path in there:
        twin = re.sub(r"\.json$", ".safetensors", path)
        if "/speed/" not in path and twin not in there:
            raise DataError(f"{repo}: {path} has no {Path(twin).name} beside it")


def _check_result(path: Path) -> None:
    """Refuse a file of a board that the pages could not be made of.

    Raises:
        DataError: if it is a record that may be on no board, or not what its place says.
        CheckpointError: if it should be log-probabilities.
    """
    if path.suffix == ".safetensors":
        record = Record.read(path.with_suffix(".json"))
        require_plausible(record, read_log_probs(record, path).values, str(path))
    elif path.parent.name == "speed":
        SpeedReport.read(path)
    else:
        record = Record.read(path)
        if fault := board_fault(record):
            raise DataError(f"{path}: {fault}")
        place = (record.task.name, f"{record.model.name}-{(record.result_sha256 or '')[:8]}")
        if place != (path.parent.name, path.stem):
            raise DataError(f"{path}: is not the record of such a result")


def _pages(records: Path) -> dict[str, Path | bytes]:
    """The pages of a board. What is verified is what this arbench knows to be, not what it says."""
    for note in kept_records().glob("*/verified/*.json"):
        copy = records / note.relative_to(kept_records())
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(note, copy)
    pages = board_pages(read_results(records))
    about = {"pretty_name": "arbench leaderboards", "tags": ["arbench", "leaderboard"]}
    pages["README.md"] = _with_metadata(about, pages["README.md"])
    return {name: page.encode() for name, page in pages.items()}


def _push(repo: Repo, message: str, prepare: Prepare, *, private: bool) -> Pushed:
    hub = Hub()
    hub.check_access(repo.namespace)
    hub.create(repo, private=private)
    commit = hub.commit(repo, message, lambda head: prepare(hub, head))
    return Pushed(repo, commit, hub.url(repo))
