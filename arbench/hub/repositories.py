"""Names of Hub repositories, and the list of files at a commit."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from arbench.errors import ConfigError
from arbench.files.atomic import sha256_of

RepoKind = Literal["model", "dataset", "space"]
_NAME = "[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_])?"  # and no ".." or "--", says the Hub
_REPO = re.compile(f"{_NAME}/{_NAME}")
_LONGEST_NAME = 96
COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class Repo:
    """A repository on the Hub, `name` being "org/name"."""

    name: str
    kind: RepoKind = "model"

    @property
    def namespace(self) -> str:
        """The user or organisation that it belongs to."""
        return self.name.partition("/")[0]

    def __str__(self) -> str:
        return self.name if self.kind == "model" else f"{self.kind}s/{self.name}"


def parse_repo(text: str, kind: RepoKind = "model") -> Repo:
    """The repository that a user names.

    Raises:
        ConfigError: if that is not "ORG/NAME".
    """
    if not _REPO.fullmatch(text) or ".." in text or "--" in text or len(text) > _LONGEST_NAME:
        raise ConfigError(f"{text!r} names no repository: expected ORG/NAME, such as me/mnist-nade")
    if text.lower().endswith(".git"):
        raise ConfigError(f"{text!r} names no repository: the Hub has no name that ends in .git")
    return Repo(text, kind)


@dataclass(frozen=True)
class RemoteFile:
    """A file at a commit, as the Hub lists it.

    Attributes:
        path: in the repository.
        size: in bytes.
        oid: Git's hash of its content; None where that is in large-file storage.
        sha256: of its content; None where that is in Git.
    """

    path: str
    size: int
    oid: str | None
    sha256: str | None

    @property
    def digest(self) -> str | None:
        """What tells this content from any other."""
        return self.sha256 or self.oid

    def digest_of(self, content: Path | bytes) -> str:
        """The same of a file on this machine, or of its content."""
        if self.sha256 is None:
            return _git_hash(content if isinstance(content, bytes) else content.read_bytes())
        if isinstance(content, bytes):
            return hashlib.sha256(content).hexdigest()
        return sha256_of(content)


def is_plain(path: str) -> bool:
    """Whether a path in a repository leads to a place within it on every system."""
    parts = PurePosixPath(path).parts
    return (
        path == "/".join(parts)
        and not any(part in ("", ".", "..", "/") for part in parts)
        and all(character.isprintable() and character not in "\\:" for character in path)
    )


def _git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
