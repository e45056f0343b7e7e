"""Pushes results to a board on the Hub and renders its pages (`push --board`)."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from arbench.boards.board_text import board_pages
from arbench.boards.results import board_fault, keep_result, keep_speeds, kept_records, read_results
from arbench.boards.speeds import SpeedReport
from arbench.errors import ArbenchError, DataError
from arbench.hub.card import with_metadata
from arbench.hub.client import Hub
from arbench.hub.evaluations import BENCHMARK, benchmark_of
from arbench.hub.ownership import require_ownership, with_seal
from arbench.hub.push import Parcel, Pushed, deliver
from arbench.hub.repositories import RemoteFile, Repo, parse_repo
from arbench.registry.entries import NAME_PATTERN
from arbench.runs.record.plausibility import require_plausible
from arbench.runs.record.record import Record
from arbench.runs.record.values import read_log_probs, require_results

_STEM = rf"records/{NAME_PATTERN}/{NAME_PATTERN}-[0-9a-f]{{8}}"
_SPEEDS = rf"records/{NAME_PATTERN}/speed/{NAME_PATTERN}-[0-9a-f]{{8}}\.speed-[a-z0-9-]+\.json"
_RESULT = re.compile(rf"{_STEM}\.(json|safetensors)|{_SPEEDS}")
_NOTES = shutil.ignore_patterns("verified", "samples")
_MOST_BYTES = 64 << 20  # of one file of a board: eight million events


def push_board(
    name: str, runs: Sequence[Path] = (), *, private: bool = False, overwrite: bool = False
) -> Pushed:
    """Put results onto a board, one file each, and bring its pages up to date with all results.

    Several may push at once: the second push renders the pages again, with the rows of the first.
    What cannot be read there is somebody else's: it stays as it is, is on no page, and is named on
    standard error.

    Args:
        name: "org/name" of the dataset repository.
        runs: run folders whose results go there; none for all that come with arbench.
        private: make a new board private.
        overwrite: replace pages that arbench did not write, in a repository that is no board.

    Raises:
        ConfigError: if a run cannot be on a board, the name is invalid, or a file is in the way.
        NetworkError: if the Hub does not take it.
    """
    repo = parse_repo(name, "dataset")
    with TemporaryDirectory() as scratch:
        own, board = Path(scratch) / "own", _Mirror(repo, Path(scratch) / "board")
        if runs:
            for run in runs:
                keep_result(run, own / "records")
                for report in sorted(run.glob("speed-*.json")):
                    keep_speeds(report, own / "records")
        else:
            shutil.copytree(kept_records(), own / "records", ignore=_NOTES)
        files: dict[str, Path | bytes] = {
            file.relative_to(own).as_posix(): file
            for file in sorted(own.rglob("*"))
            if file.is_file()
        }

        def prepare(hub: Hub, head: str) -> dict[str, Path | bytes]:
            shutil.copytree(own, board.folder, dirs_exist_ok=True)  # need not be fetched
            board.update(hub, head)
            shutil.copytree(own, board.folder, dirs_exist_ok=True)
            for path in files:
                board.left_out.pop(path, None)
            contents = files | _pages(board.folder / "records", [*board.left_out])
            if not overwrite:
                require_ownership(hub, repo, head, contents, _RESULT)
            return contents

        pushed = deliver(repo, _title(files), prepare, private=private)
    for path, why in board.left_out.items():
        print(f"arbench: warning: {repo}: left out {path}: {why}", file=sys.stderr)
    return pushed


def board_parcel(name: str) -> Parcel:
    """What `push_board` puts onto an empty board: all results that come with arbench, and pages.

    Raises:
        ConfigError: if the name is invalid.
    """
    repo, kept = parse_repo(name, "dataset"), kept_records()
    with TemporaryDirectory() as scratch:
        records = Path(scratch) / "records"
        shutil.copytree(kept, records, ignore=_NOTES)
        names = [f.relative_to(records) for f in sorted(records.rglob("*")) if f.is_file()]
        files: dict[str, Path | bytes] = {f"records/{n.as_posix()}": kept / n for n in names}
        return Parcel(repo, _title(files), files | _pages(records, []))


def _title(files: Iterable[str]) -> str:
    """Of a commit with such files."""
    count = sum(path.endswith(".json") and "/speed/" not in path for path in files)
    return f"{count} {'result' if count == 1 else 'results'}"


class _Mirror:
    """The results of a board at a commit, in a folder; what it has already is not fetched again.

    Attributes:
        folder: where they are.
        left_out: why there is no result at a path, which names its record or its speeds.
    """

    def __init__(self, repo: Repo, folder: Path) -> None:
        self.folder = folder
        self.left_out: dict[str, str] = {}
        self._repo = repo
        self._faults: dict[tuple[str, str | None], str] = {}  # by path and digest

    def update(self, hub: Hub, head: str) -> None:
        """Make the folder hold the results at a commit, and nothing else."""
        there = {p: f for p, f in hub.files(self._repo, head).items() if _RESULT.fullmatch(p)}
        self.left_out, kept = {}, set()
        records = {path.removesuffix(".json") for path in there if "/speed/" not in path}
        for stem in sorted(path.removesuffix(".safetensors") for path in records):
            # A record comes before the log-probabilities that are checked against it.
            for path in (f"{stem}.json", f"{stem}.safetensors"):
                if fault := self._fault(hub, head, path, there.get(path)):
                    self.left_out[f"{stem}.json"] = fault
                    break
            else:
                kept |= {f"{stem}.json", f"{stem}.safetensors"}
        for path in sorted(path for path in there if "/speed/" in path):
            owner = f"{path.replace('/speed/', '/').partition('.speed-')[0]}.json"
            if owner not in kept:  # nothing can be said of them
                continue
            if fault := self._fault(hub, head, path, there[path]):
                self.left_out[path] = fault
            else:
                kept.add(path)
        for local in [*self.folder.rglob("*")]:
            path = local.relative_to(self.folder).as_posix()
            if local.is_file() and path not in kept:
                local.unlink()  # also of a head that was looked at before, and removed since

    def _fault(self, hub: Hub, head: str, path: str, file: RemoteFile | None) -> str | None:
        """Why a file, which is fetched if it is not here, is no part of a result; None if it is."""
        if file is None:
            return f"it has no {Path(path).name} beside it"
        local, key = self.folder / path, (path, file.digest)
        known = self._faults.get(key)
        if known is not None or (local.is_file() and file.digest_of(local) == file.digest):
            return known
        if file.size > _MOST_BYTES:
            return f"{path} has {file.size:,} bytes, and no result is that large"
        hub.download(self._repo, head, [file], self.folder)
        try:
            _check_result(local)
        except ArbenchError as error:
            text = str(error).replace(f"{self.folder}{os.sep}", "")
            self._faults[key] = text.removeprefix(f"{path}: ")
        return self._faults.get(key)


def _check_result(path: Path) -> None:
    """Refuse a file of a board that the pages could not be made of.

    Raises:
        DataError: if it is a record that may be on no board, or not what its place says.
        CheckpointError: if it should be log-probabilities.
    """
    if path.suffix == ".safetensors":
        record = Record.read(path.with_suffix(".json"))
        require_plausible(record, read_log_probs(record, path).values, str(path))
        require_results(record, path)
    elif path.parent.name == "speed":
        SpeedReport.read(path)
    else:
        record = Record.read(path)
        if fault := board_fault(record):
            raise DataError(f"{path}: {fault}")
        place = (record.task.name, f"{record.model.name}-{(record.result_sha256 or '')[:8]}")
        if place != (path.parent.name, path.stem):
            raise DataError(f"{path}: is not the record of such a result")


def _pages(records: Path, left_out: Sequence[str]) -> dict[str, Path | bytes]:
    """The pages of a board. What is verified is what this arbench knows to be, not what it says."""
    for note in kept_records().glob("*/verified/*.json"):
        copy = records / note.relative_to(kept_records())
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(note, copy)
    results = read_results(records)
    pages = board_pages(results)
    about = {"pretty_name": "arbench leaderboards", "tags": ["arbench", "leaderboard"]}
    pages["README.md"] = with_metadata(about, pages["README.md"])
    if left_out:
        names = "\n".join(f"- `{path}`" for path in left_out)
        pages["README.md"] += f"\nLeft out, because no result can be read there:\n\n{names}\n"
    benchmark = with_seal(benchmark_of(result.record for result in results), is_yaml=True)
    return {BENCHMARK: benchmark, **{name: with_seal(page) for name, page in pages.items()}}
