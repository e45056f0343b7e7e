"""Runs downloaded from the Hub: one checked cache folder per commit.

A repository may hold anything. Only files that a run has are taken, the small ones first; the
weights are fetched once the configuration says how large they may be, and the folder gets its name
once everything in it loads. What a commit held stays the same for ever, so it is asked for once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock

from arbench.data.sources import cache_dir, writing_cache
from arbench.errors import ArbenchError, CheckpointError, ConfigError, DataError, NetworkError
from arbench.files.atomic import sha256_of, write_text
from arbench.files.strict_json import parse_json
from arbench.hub.attempts import PASSING
from arbench.hub.client import Hub
from arbench.hub.repositories import COMMIT, RemoteFile, Repo, parse_repo
from arbench.measure.result_sections import ResultSection
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder
from arbench.runs.loading import load_run, weights_of
from arbench.runs.record.binding import PER_EVENT, PER_EVENT_UNTIL_2
from arbench.runs.record.record import Record
from arbench.runs.record.values import read_log_probs, test_of
from arbench.runs.zoo import PinnedFile, check_files, read_pins
from arbench.show.pictures import MOST_BYTES, named_pictures, pictures_of

MANIFEST = "files.json"
DOCUMENTS = ("config.json", "record.json")
WEIGHTS = "model.safetensors"
TENSORS = (WEIGHTS, PER_EVENT, PER_EVENT_UNTIL_2)
EXTRAS = re.compile(r"README\.md|metrics\.jsonl|samples\.(png|txt|wav|csv|mid)")
_MOST_BYTES = 32 << 20  # of everything but the weights; an ordering of 4 million dims fits
_HEADER_BYTES = 1 << 20
_MOST_COUNTED_BYTES = 1 << 30  # of what a network counts, whose size its configuration leaves open
_REVISION = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def fetch_revision(repo_name: str, revision: str) -> Path:
    """The folder of a run on the Hub at a branch, a tag or a commit.

    Where the Hub does not answer, or has no time, what the revision stood for last is used if it is
    in the cache, and standard error says so. A Hub that says no is believed.

    Raises:
        ConfigError: if the names cannot be any.
        CheckpointError: if what the Hub holds is not a run that loads.
        NetworkError: if the Hub says no, or does not answer and the cache does not hold it.
    """
    repo = parse_repo(repo_name)
    if COMMIT.fullmatch(revision):
        return fetch_commit(repo_name, revision)
    if _REVISION.fullmatch(revision) is None or ".." in revision:
        raise ConfigError(f"{revision!r} is no revision: expected a branch, a tag or a commit")
    note = _home(repo) / "refs" / revision
    try:
        commit = Hub().resolve(repo, revision)
    except NetworkError as error:
        known = note.read_text().strip() if note.is_file() else ""
        if error.status not in (None, *PASSING) or not COMMIT.fullmatch(known):
            raise
        folder = fetch_commit(repo_name, known)
        print(
            f"arbench: warning: {error}; {repo}@{revision} is what it was when last seen, "
            f"{known[:8]}",
            file=sys.stderr,
        )
        return folder
    folder = fetch_commit(repo_name, commit)
    if not note.is_file() or note.read_text() != commit:
        with writing_cache(note.parent):
            write_text(note, commit)
    return folder


def fetch_commit(
    repo_name: str, commit: str, pinned: Mapping[str, PinnedFile] | None = None
) -> Path:
    """The folder of a run on the Hub at a commit, downloaded if the cache does not hold it.

    Args:
        repo_name: "org/name".
        commit: its 40 digits.
        pinned: what its files must be, if that is known; else what the Hub lists.

    Raises:
        CheckpointError: if the files are not those, or are not a run that loads.
        NetworkError: if the Hub does not answer.
        DataError: if the cache cannot be written.
    """
    repo = parse_repo(repo_name)
    folder = _home(repo) / commit
    if folder.is_dir():
        check_files(folder, pinned or _read_manifest(folder))
        return folder
    with _staging(_home(repo)) as staging:
        if folder.is_dir():  # another process has been here while this one waited
            check_files(folder, pinned or _read_manifest(folder))
            return folder
        _download(Hub(), repo, commit, staging, pinned)
        os.rename(staging, folder)
    return folder


def copy_run(folder: Path, out: Path) -> Path:
    """Copy the files of a run into a folder, which is there with all of them or not at all.

    Raises:
        ConfigError: if `out` holds something already.
        DataError: if it cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out}: exists and is not empty; choose another folder")
    partial = out.with_name(f".{out.name}.tmp-{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        for file in sorted(folder.iterdir()):
            if file.name in (*DOCUMENTS, *TENSORS) or EXTRAS.fullmatch(file.name):
                shutil.copyfile(file, partial / file.name)
        if (folder / "record.json").is_file():
            for file in pictures_in(folder, Record.read(folder / "record.json")):
                copy = partial / file.relative_to(folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
        os.replace(partial, out)
    except OSError as error:
        raise DataError(f"--out {out}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def pictures_in(folder: Path, record: Record) -> list[Path]:
    """The pictures of measurements in a run folder."""
    found = pictures_of(folder, record.model_dump(mode="json")["measurements"])
    return [file for files in found.values() for file in files]


def _home(repo: Repo) -> Path:
    return cache_dir() / "hub" / repo.name.replace("/", "--")


@contextmanager
def _staging(home: Path) -> Iterator[Path]:
    """An empty folder for one process at a time; gone afterwards unless it was renamed.

    A process that was killed leaves one behind, which the next one clears away.
    """
    staging = home / ".incoming"
    with writing_cache(home), FileLock(home / ".lock"):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _download(
    hub: Hub, repo: Repo, commit: str, folder: Path, pinned: Mapping[str, PinnedFile] | None
) -> None:
    """Fetch a run into an empty folder, the weights last, and hold it against all there is."""
    there = hub.files(repo, commit)
    is_old = PER_EVENT not in there and PER_EVENT_UNTIL_2 in there
    per_event = PER_EVENT_UNTIL_2 if is_old else PER_EVENT
    tensors = (WEIGHTS, per_event)
    for name in (*DOCUMENTS, *tensors, *(pinned or ())):
        if name not in there:
            raise CheckpointError(f"{repo} at {commit[:8]} has no {name}: it holds no such run")
    small = {name: f for name, f in there.items() if name in DOCUMENTS or EXTRAS.fullmatch(name)}
    for file in small.values():
        _limit(repo, file, _MOST_BYTES, "arbench")
    hub.download(repo, commit, small.values(), folder)
    with blamed_on(f"{repo} at {commit[:8]}", folder):
        pictures = _pictures_named(RunFolder(folder), there)
        hub.download(repo, commit, pictures.values(), folder)
        small |= pictures
        _limit_tensors(repo, there, RunFolder(folder), per_event)
        hub.download(repo, commit, [there[name] for name in tensors], folder)
        files = {
            name: PinnedFile(sha256_of(folder / name), (folder / name).stat().st_size)
            for name in (*small, *tensors)
        }
        check_files(folder, pinned or files)
        record = Record.read(folder / "record.json")
        if record.sha256.weights is None:
            raise CheckpointError("its record names no weights")
        load_run(folder)
        read_log_probs(record, folder / per_event)
    manifest = {name: asdict(file) for name, file in files.items()}
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def _pictures_named(folder: RunFolder, there: Mapping[str, RemoteFile]) -> dict[str, RemoteFile]:
    """Of the files in a repository, the pictures of measurements that the run's record names."""
    sections = Record.read(folder.record).model_dump(mode="json")["measurements"]
    names = [name for names in named_pictures(sections).values() for name in names]
    return {n: there[n] for n in names if n in there and there[n].size <= MOST_BYTES}


@contextmanager
def blamed_on(source: str, folder: Path) -> Iterator[None]:
    """Name what is wrong with files by where they come from; their folder is soon gone."""
    try:
        yield
    except NetworkError:
        raise
    except ArbenchError as error:
        text = str(error).replace(f"{folder}{os.sep}", "")
        error.args = (f"{source} was refused: {text}",)
        raise


def _limit_tensors(
    repo: Repo, there: Mapping[str, RemoteFile], folder: RunFolder, per_event: str
) -> None:
    """Refuse tensors that are larger than the configuration and the record say.

    Raises:
        CheckpointError: if they are.
    """
    config = RunConfig.read(folder.config)
    weights = weights_of(config, folder.model, there[folder.model.name].size)
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    if any(tensor.shape[:1] == (0,) for tensor in weights.values()):  # as many rows as were found
        num_bytes += _MOST_COUNTED_BYTES
    _limit(repo, there[WEIGHTS], num_bytes + _HEADER_BYTES, "its configuration")
    record = Record.read(folder.record)
    # Of every event a value of each name, and a group: eight bytes each.
    num_bytes = 8 * 2 * test_of(record, folder.record).num_events
    more = sum(
        8 * (len(section.values) + 1) * section.num_values
        for section in record.measurements.values()
        if isinstance(section, ResultSection)
    )
    num_bytes += min(more, _MOST_BYTES)
    _limit(repo, there[per_event], num_bytes + _HEADER_BYTES, "its record")


def _limit(repo: Repo, file: RemoteFile, most: int, why: str) -> None:
    if file.size > most:
        raise CheckpointError(
            f"{repo}: {file.path} has {file.size:,} bytes, but {why} allows {most:,}; it was not "
            "downloaded"
        )


def _read_manifest(folder: Path) -> dict[str, PinnedFile]:
    try:
        return read_pins(parse_json((folder / MANIFEST).read_bytes()))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{folder}: its {MANIFEST} is damaged; remove the folder and fetch it again"
        ) from error
