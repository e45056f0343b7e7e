"""Pushes a run or the boards' page to the Hub in one commit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from arbench.boards.boards import find_boards
from arbench.boards.measured_boards import find_measured_boards
from arbench.boards.page import write_page
from arbench.boards.results import board_fault
from arbench.data.tasks import open_task
from arbench.errors import ArbenchError, CheckpointError, ConfigError
from arbench.hub.card import card_of, with_metadata
from arbench.hub.client import Hub
from arbench.hub.evaluations import eval_results
from arbench.hub.finding import HUB_PREFIX
from arbench.hub.ownership import require_ownership, with_seal
from arbench.hub.repositories import Repo, parse_repo
from arbench.hub.snapshots import DOCUMENTS, EXTRAS, TENSORS, pictures_in
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.runs.config import RunConfig
from arbench.runs.experiment import Run
from arbench.runs.folder import RunFolder
from arbench.runs.loading import load_run, read_config
from arbench.runs.record.binding import unbound_note
from arbench.runs.record.plausibility import require_plausible
from arbench.runs.record.record import Record
from arbench.runs.record.values import read_log_probs, test_of
from arbench.show.pictures import PICTURE

_RUN_FILES = re.compile(
    rf"(config|record)\.json|{EXTRAS.pattern}|(model|per_event|log_probs)\.safetensors"
    rf"|{PICTURE.pattern}"
)
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")
_PAGE_FILES = re.compile(r"index\.html")
# From the head's commit, the files that a commit on top of it is to hold.
Prepare = Callable[[Hub, str], Mapping[str, Path | bytes]]


@dataclass(frozen=True)
class Parcel:
    """What is to be in a repository, and the title of the commit that puts it there."""

    repo: Repo
    message: str
    contents: Mapping[str, Path | bytes]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(
            len(content) if isinstance(content, bytes) else content.stat().st_size
            for content in self.contents.values()
        )


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
        ConfigError: if they make no name of a repository, there is no such task or model, or the
            repository holds what arbench did not write.
        CheckpointError: if there is no run to go on.
        NetworkError: if the user may not push there; the line says why.
    """
    if resume is not None:
        config = read_config(resume)
        task, model = config.task, config.model
    else:
        assert task is not None
        assert model is not None
        task, model = open_task(task).name, registry().find(ModelEntry, model).entry.name
    repo = parse_repo(repository_of(namespace, task, model))
    hub = Hub()
    hub.check_access(namespace)
    if hub.exists(repo):
        names = ("README.md", *DOCUMENTS, *TENSORS)
        require_ownership(hub, repo, hub.resolve(repo), dict.fromkeys(names), _RUN_FILES)


def repository_of(namespace: str, task: str, model: str) -> str:
    """The name of the repository that a run has among those of a user or an organisation."""
    return f"{namespace}/{task}-{model}"


def push_run(
    path: Path,
    name: str,
    *,
    board: str | None = None,
    license: str | None = None,
    base_model: str | None = None,
    private: bool = False,
    overwrite: bool = False,
) -> Pushed:
    """Put a finished run into a model repository: weights, configuration, record, card, samples.

    Args:
        path: the run folder.
        name: "org/name"; the repository is made if it does not exist.
        board: "org/name" of a board that has its result; the repository then has the file that puts
            the model on the Hub's own leaderboard of that board.
        license: of the weights, as the Hub writes it, such as "apache-2.0".
        base_model: "org/name" of the model that its training began from. The Hub's leaderboards
            leave out models that name one, unless they are asked for all.
        private: make it for the owner's eyes.
        overwrite: also replace files that arbench did not write.

    Raises:
        ConfigError: if the run has no weights that others could load or may be on no board, a name
            is invalid, or the repository holds what arbench did not write.
        CheckpointError: if it is unfinished, or its files are damaged or links.
        NetworkError: if the Hub does not take it; it then holds all of the run or nothing.
    """
    parcel = run_parcel(path, name, board=board, license=license, base_model=base_model)
    return send(parcel, private=private, overwrite=overwrite)


def run_parcel(
    path: Path,
    name: str,
    *,
    board: str | None = None,
    license: str | None = None,
    base_model: str | None = None,
) -> Parcel:
    """What `push_run` puts into a repository; takes and raises what that does, without the Hub."""
    repo = parse_repo(name)
    files = _run_files(path)
    record = Record.read(files["record.json"])
    metadata = _metadata(record, license, base_model)
    card = card_of(path, load_as=f"{HUB_PREFIX}{name}", metadata=metadata)
    contents: dict[str, Path | bytes] = {**files, "README.md": with_seal(card)}
    if board is not None:
        if fault := board_fault(record):
            raise ConfigError(f"{path}: {fault}")
        source = f"{Hub().url(repo)}/blob/main/record.json"
        evaluated = eval_results(record, parse_repo(board, "dataset"), source)
        contents |= {file: with_seal(text, is_yaml=True) for file, text in evaluated.items()}
    return Parcel(repo, f"{record.model.name} on {record.task.name}", contents)


def _metadata(record: Record, license: str | None, base_model: str | None) -> dict[str, object]:
    """What the card of a model says beside its record: licence, data sets, what it began from.

    Raises:
        ConfigError: if the licence or the base model has no such name as the Hub gives.
    """
    metadata: dict[str, object] = {}
    if license is not None:
        if not _LICENSE.fullmatch(license):
            raise ConfigError(
                f"{license!r} names no licence: expected a name of the Hub, such as apache-2.0 or "
                "cc-by-4.0"
            )
        metadata["license"] = license
    if offer := registry().tasks.get(record.task.name):
        datasets = offer.load().hub_datasets
        metadata |= {"datasets": [*datasets]} if datasets else {}
    if base_model is not None:
        metadata["base_model"] = parse_repo(base_model).name
    return metadata


def push_trained(run: Run, namespace: str) -> Pushed:
    """Put a run that has just finished into `namespace/<task>-<model>`.

    Raises:
        ArbenchError: as `push_run` does; the line also says how to finish the push.
    """
    name = repository_of(namespace, run.record.task.name, run.record.model.name)
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
            f"{path}: its weights are not here, so nobody could load it; you can push its "
            "record to a board, with --board"
        )
    RunConfig.read(folder.config)
    folder.require_finished()
    record = Record.read(folder.record)
    test_of(record, path)
    needed = (folder.config, folder.record, folder.model, folder.per_event)
    extras = [file for file in sorted(path.iterdir()) if EXTRAS.fullmatch(file.name)]
    files = {file.name: file for file in (*needed, *extras)}
    files |= {file.relative_to(path).as_posix(): file for file in pictures_in(path, record)}
    for file in files.values():
        if file.is_symlink() or not file.is_file():
            raise CheckpointError(f"{file}: expected a file of the run itself, not a link")
    load_run(path)
    if fault := record.no_likelihood:
        raise ConfigError(f"{path}: {fault}")
    if note := unbound_note(path, record.is_bound):
        raise CheckpointError(f"{note}, and then it can be pushed")
    require_plausible(record, read_log_probs(record, folder.per_event).values, str(path))
    return files


def push_space(name: str, *, private: bool = False, overwrite: bool = False) -> Pushed:
    """Put the page of all boards onto the Hub as a static Space.

    Args:
        name: "org/name" of the Space.
        private: make a new Space private.
        overwrite: also replace files that arbench did not write.

    Raises:
        ConfigError: if the name is invalid, or the Space holds files that arbench did not write.
        NetworkError: if the Hub does not take it.
    """
    return send(space_parcel(name), private=private, overwrite=overwrite)


def space_parcel(name: str) -> Parcel:
    """What `push_space` puts into a Space.

    Raises:
        ConfigError: if the name is invalid.
    """
    repo = parse_repo(name, "space")
    boards, measured = find_boards(None)[0], find_measured_boards(None)[0]
    about = {
        "title": "arbench leaderboards",
        "sdk": "static",
        "app_file": "index.html",
        "tags": ["arbench", "leaderboard"],
    }
    with TemporaryDirectory() as scratch:
        out = Path(scratch)
        write_page(out, boards, measured)
        contents: dict[str, Path | bytes] = {
            file.relative_to(out).as_posix(): with_seal(file.read_text(encoding="utf-8"))
            for file in sorted(out.rglob("*.html"))
        }
    contents["README.md"] = with_seal(with_metadata(about, "# arbench leaderboards\n"))
    return Parcel(repo, "Page of all boards", contents)


def send(parcel: Parcel, *, private: bool = False, overwrite: bool = False) -> Pushed:
    """Put a run or the page of the boards into its repository, in one commit.

    Files that are there already are not sent again; where all are, there is no commit.

    Args:
        parcel: of `run_parcel` or `space_parcel`.
        private: make a new repository private.
        overwrite: also replace files that arbench did not write.

    Raises:
        ConfigError: if the repository holds what arbench did not write.
        NetworkError: if the Hub does not take it.
    """
    marks = _PAGE_FILES if parcel.repo.kind == "space" else _RUN_FILES

    def prepare(hub: Hub, head: str) -> Mapping[str, Path | bytes]:
        if not overwrite:
            require_ownership(hub, parcel.repo, head, parcel.contents, marks)
        return parcel.contents

    return deliver(parcel.repo, parcel.message, prepare, private=private)


def deliver(repo: Repo, message: str, prepare: Prepare, *, private: bool) -> Pushed:
    """Put files into a repository, which is made if it does not exist, in one commit.

    Args:
        repo: the repository.
        message: the commit's title.
        prepare: makes the files for the newest commit there.
        private: make a new repository private.

    Raises:
        NetworkError: if the Hub does not take them.
    """
    hub = Hub()
    hub.check_access(repo.namespace)
    hub.create(repo, private=private)
    commit = hub.commit(repo, message, lambda head: prepare(hub, head))
    return Pushed(repo, commit, hub.url(repo))
