"""Refuses to overwrite files that arbench did not write (`--overwrite`).

A page that arbench pushes ends in a seal, the sha256 of what stands before it: a page without one,
or with another, was written or edited by hand. A configuration, a record and weights are arbench's
if they are read as a run is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from arbench.errors import ArbenchError, ConfigError, NetworkError
from arbench.hub.client import Hub
from arbench.hub.repositories import RemoteFile, Repo
from arbench.runs.config import RunConfig
from arbench.runs.record.record import Record

_SEAL = re.compile(rb"(?:<!--|#) written by arbench, ([0-9a-f]{64})(?: -->)?\n\Z")
_NEW_FILES = {".gitattributes"}  # of a repository in which nobody has put anything yet
_MOST_BYTES = 32 << 20  # of a page or a document
_MOST_NAMES = 4  # in a message


def with_seal(page: str, *, is_yaml: bool = False) -> bytes:
    """A page of Markdown or HTML with its seal, or a document of YAML with it in a comment."""
    text = page.encode() if page.endswith("\n") else f"{page}\n".encode()
    seal = f"written by arbench, {hashlib.sha256(text).hexdigest()}"
    return text + (f"# {seal}\n" if is_yaml else f"<!-- {seal} -->\n").encode()


def is_sealed(page: bytes) -> bool:
    """Whether a page is as arbench wrote it."""
    seal = _SEAL.search(page)
    return seal is not None and hashlib.sha256(page[: seal.start()]).hexdigest().encode() == seal[1]


def require_ownership(
    hub: Hub,
    repo: Repo,
    head: str,
    contents: Mapping[str, Path | bytes | None],
    marks: re.Pattern[str],
) -> None:
    """Refuse to write into a repository that is neither empty nor arbench's own.

    Args:
        hub: a connection.
        repo: the repository.
        head: its newest commit.
        contents: what would be written, by path; None where it is not known yet.
        marks: the paths that only arbench gives to a file.

    Raises:
        ConfigError: if a file there is somebody else's; names it.
    """
    there = hub.files(repo, head)
    present = [path for path in contents if path in there]
    if not there.keys() - _NEW_FILES:
        return
    if not present and not any(map(marks.fullmatch, there)):
        _refuse(repo, there.keys() - _NEW_FILES)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        changed = [there[path] for path in present if _differs(there[path], contents[path])]
        foreign = [
            file.path
            for file in changed
            if not _is_own(hub, repo, head, file, there.get("record.json"), folder)
        ]
    if foreign:
        _refuse(repo, foreign)


def _differs(file: RemoteFile, content: Path | bytes | None) -> bool:
    return content is None or file.digest_of(content) != file.digest


def _refuse(repo: Repo, paths: Iterable[str]) -> None:
    names = sorted(paths)
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    raise ConfigError(
        f"{repo} holds files that arbench did not write, {', '.join(names[:_MOST_NAMES])}{more}: "
        "choose another name, or replace them with --overwrite"
    )


def _is_own(
    hub: Hub, repo: Repo, head: str, file: RemoteFile, record: RemoteFile | None, folder: Path
) -> bool:
    """Whether arbench wrote a file. What lies beside a run's record is as the record says."""
    if file.path.startswith("records/"):
        return True  # no other place of a board is named after a result's hash
    content = _read(hub, repo, head, file, folder)
    if file.path.endswith((".md", ".html", ".yaml")):
        return is_sealed(content)
    try:
        if file.path == "config.json":
            RunConfig.read(folder / file.path)
            return True
        if record is None:
            return False
        _read(hub, repo, head, record, folder)
        weights = Record.read(folder / record.path).sha256.weights
    except NetworkError:
        raise
    except ArbenchError:
        return False
    if file.path != "model.safetensors":
        return True
    return weights == (file.sha256 or hashlib.sha256(content).hexdigest())


def _read(hub: Hub, repo: Repo, head: str, file: RemoteFile, folder: Path) -> bytes:
    """The content of a small file; empty where a hash says enough, or it is larger than ours."""
    if file.size > _MOST_BYTES or file.sha256 is not None:
        return b""
    if not (folder / file.path).is_file():
        hub.download(repo, head, [file], folder)
    return (folder / file.path).read_bytes()
