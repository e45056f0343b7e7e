"""Bring the zoo's cards and `zoo/index.json` up to date with the runs that lie there.

    python scripts/index_zoo.py [TASK/MODEL=ORG/NAME@COMMIT ...]

Every folder `zoo/<task>/<model>` gets its card and, from the kept results, its per-event
log-probabilities, and is entered with the hash of each of its files. An argument says where on the
Hub the same files are; an entry whose folder is not here has to come from there.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from arbench.errors import ArbenchError, ConfigError
from arbench.files.atomic import sha256_of, write_text
from arbench.hub.card import write_card
from arbench.hub.snapshots import DOCUMENTS, EXTRAS, TENSORS, fetch_commit, pictures_in
from arbench.runs.folder import RunFolder
from arbench.runs.loading import load_run
from arbench.runs.record.record import Record
from arbench.runs.zoo import INDEX, PinnedFile

ROOT = Path(__file__).resolve().parents[1]
ZOO = ROOT / "zoo"
RECORDS = ROOT / "leaderboards" / "records"
MOST_BYTES = 8_000_000
CARD = "README.md"  # not pinned: it is made of the others, and says how to load the copy it is in


def index(zoo: Path, homes: Mapping[str, str]) -> dict[str, Any]:
    """The index of a zoo folder: what is in it, and what the old index has from the Hub."""
    path = zoo / INDEX
    old = json.loads(path.read_text()) if path.exists() else {}
    entries: dict[str, Any] = {}
    for record in sorted(zoo.glob("*/*/record.json")):
        name = record.parent.relative_to(zoo).as_posix()
        entry = _entry(record.parent)
        same = name in old and old[name]["files"] == entry["files"]
        entries[name] = entry | {
            "repo": old[name]["repo"] if same else None,
            "commit": old[name]["commit"] if same else None,
        }
    for name, entry in old.items():
        if name not in entries and entry["repo"] is not None:
            entries[name] = entry
    for name, home in homes.items():
        repo, _, commit = home.partition("@")
        entry = _entry(fetch_commit(repo, commit)) | {"repo": repo, "commit": commit}
        if name in entries and entries[name]["files"] != entry["files"]:
            raise ConfigError(f"{home} does not hold the files of zoo/{name}: push that folder")
        entries[name] = entry
    return dict(sorted(entries.items()))


def _entry(folder: Path) -> dict[str, Any]:
    record = Record.read(folder / "record.json")
    files = [
        file
        for file in sorted(folder.iterdir())
        if file.name in (*DOCUMENTS, *TENSORS) or EXTRAS.fullmatch(file.name)
        if file.name != CARD
    ]
    pins = {
        file.relative_to(folder).as_posix(): asdict(
            PinnedFile(sha256_of(file), file.stat().st_size)
        )
        for file in (*files, *pictures_in(folder, record))
    }
    return {
        "files": pins,
        "unit": record.task.unit,
        "num_parameters": record.model.num_parameters,
        "test": record.splits["test"].model_dump(),
    }


def complete(folder: Path) -> None:
    """Give a bundled run its card and its log-probabilities, and see that it loads."""
    run = RunFolder(folder)
    record = Record.read(run.record)
    name = folder.relative_to(ZOO).as_posix()
    if name != f"{record.task.name}/{record.model.name}" or record.result_sha256 is None:
        raise ConfigError(f"zoo/{name} holds {record.model.name} on {record.task.name}")
    if not run.per_event.exists():
        kept = RECORDS / record.task.name / f"{record.model.name}-{record.result_sha256[:8]}.json"
        shutil.copyfile(kept.with_suffix(".safetensors"), run.per_event)
    run.require_finished()
    load_run(folder)
    write_card(folder, load_as=name)
    if (size := sum(file.stat().st_size for file in folder.iterdir())) > MOST_BYTES:
        raise ConfigError(f"zoo/{name} has {size:,} bytes, at most {MOST_BYTES:,} ship; push it")


def main(arguments: list[str]) -> None:
    """See the module."""
    for record in sorted(ZOO.glob("*/*/record.json")):
        complete(record.parent)
    entries = index(ZOO, dict(argument.split("=", 1) for argument in arguments))
    write_text(ZOO / INDEX, json.dumps(entries, indent=1) + "\n")
    print(f"{len(entries)} entries")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ArbenchError as error:
        sys.exit(f"index_zoo: {error}")
