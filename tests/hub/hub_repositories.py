"""What a Hub on loopback keeps of a repository: its commits, each a whole tree of files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Blob:
    """A file's content, and whether it lies in large-file storage."""

    data: bytes
    lfs: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def oid(self) -> str:
        """Git's hash of the blob; of the pointer where the content is in large-file storage."""
        data = f"sha256:{self.sha256}".encode() if self.lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def entry(self, path: str) -> dict[str, Any]:
        entry = {"type": "file", "path": path, "size": len(self.data), "oid": self.oid}
        if self.lfs:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.data), "pointerSize": 130}
        return entry


@dataclass(frozen=True)
class Commit:
    """A whole tree and its title."""

    oid: str
    title: str
    files: dict[str, Blob]


@dataclass
class Repo:
    """The commits of one repository, the oldest first."""

    commits: list[Commit] = field(default_factory=list)

    def add(self, title: str, files: dict[str, Blob]) -> Commit:
        seed = f"{len(self.commits)}{title}{sorted((p, b.sha256) for p, b in files.items())}"
        commit = Commit(hashlib.sha1(seed.encode()).hexdigest(), title, files)
        self.commits.append(commit)
        return commit

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        if revision == "main":
            return self.head
        return next((c for c in self.commits if c.oid == revision), None)
