"""The Hub client: tokens, commits, listings and checked downloads.

What `huggingface_hub` leaves open is closed here and in `hub_client` and `attempts`. It retries
uploads and listings, but neither `whoami` nor the creation of a repository nor a commit; it takes
what a server sends for what it asked for; and it believes a download of the right size.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

from huggingface_hub import CommitOperationAdd, RepoFile
from pydantic import BaseModel, Field

from arbench.errors import CheckpointError, NetworkError
from arbench.files.documents import Sha256
from arbench.files.http_library import httpx
from arbench.hub.attempts import Attempts, Server
from arbench.hub.repositories import COMMIT, RemoteFile, Repo, is_plain
from arbench.hub.requests import connect

Answer = TypeVar("Answer")

_MOST_FILES = 20_000


class _Organisation(BaseModel, strict=True):
    name: str
    role: str | None = Field(None, alias="roleInOrg")


class _Account(BaseModel, strict=True):
    """What is needed of who somebody is."""

    name: str
    organisations: list[_Organisation] = Field([], alias="orgs")
    auth: dict[str, Any] = {}

    @property
    def may_only_read(self) -> bool:
        token = self.auth.get("accessToken")
        return isinstance(token, dict) and token.get("role") == "read"


class _Listed(BaseModel, strict=True):
    """What is needed of a file in a listing."""

    path: str
    size: Annotated[int, Field(ge=0)]
    oid: str
    sha256: Sha256 | None


class Hub:
    """A connection to the Hub that `HF_ENDPOINT` names, with the user's token if there is one."""

    def __init__(self) -> None:
        self._api, token = connect()
        self._server = Server(str(self._api.endpoint), token)

    def url(self, repo: Repo) -> str:
        """Where a person finds the repository."""
        return f"{self._api.endpoint}/{repo}"

    def check_access(self, namespace: str) -> None:
        """Find out whether the user may write there, before anything costs time.

        Raises:
            NetworkError: if not, or if the Hub does not answer.
        """
        if self._server.token is None:
            raise NetworkError(
                f"pushing to {namespace} needs a token: log in with `hf auth login`, or set "
                "HF_TOKEN to one with write access"
            )
        me = self._ask("ask who you are", lambda: _Account.model_validate(self._api.whoami()))
        if me.may_only_read:
            raise NetworkError("your token may only read: make one with write access and log in")
        own = [me.name, *(org.name for org in me.organisations if org.role != "read")]
        if namespace not in own:
            mine = ", ".join(own)
            raise NetworkError(f"you may not write to {namespace}; you may write to: {mine}")

    def create(self, repo: Repo, *, private: bool = False) -> None:
        """Make sure that the repository exists."""

        def request() -> None:
            try:
                self._api.create_repo(
                    repo.name,
                    repo_type=repo.kind,
                    private=private or None,
                    space_sdk="static" if repo.kind == "space" else None,
                )
            except httpx.HTTPStatusError as error:
                # Each may be said of a repository that exists, and of one that does not.
                if error.response.status_code not in (401, 402, 403, 409) or not self._sees(repo):
                    raise

        self._ask(f"create {repo}", request)

    def exists(self, repo: Repo) -> bool:
        """Whether there is such a repository that the user may see."""
        return self._ask(f"find {repo}", lambda: self._sees(repo))

    def _sees(self, repo: Repo) -> bool:
        try:
            self._api.repo_info(repo.name, repo_type=repo.kind)
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in (401, 403, 404):
                raise
            return False
        return True

    def resolve(self, repo: Repo, revision: str = "main") -> str:
        """The commit that a revision stands for."""

        def request() -> str:
            info = self._api.repo_info(repo.name, revision=revision, repo_type=repo.kind)
            return _commit(info.sha)

        return self._ask(f"find {repo}", request)

    def files(self, repo: Repo, commit: str) -> dict[str, RemoteFile]:
        """Every file at a commit, by its path.

        Raises:
            CheckpointError: if a path leads anywhere but into the repository, or there are more
                files than anything of arbench has.
        """

        def listing() -> list[_Listed]:
            tree = self._api.list_repo_tree(
                repo.name, revision=commit, recursive=True, repo_type=repo.kind
            )
            return [_listed(e) for e in islice(tree, _MOST_FILES + 1) if isinstance(e, RepoFile)]

        found = self._ask(f"list {repo}", listing)
        if len(found) > _MOST_FILES:
            raise CheckpointError(
                f"{repo}: holds more than {_MOST_FILES:,} files, which no run and no board has; "
                "nothing of it was used"
            )
        strange = [file.path for file in found if not is_plain(file.path)]
        if strange and repo.kind == "model":  # of a board only what has a result's name is read
            raise CheckpointError(
                f"{repo}: holds a file named {strange[0]!r}, which would lie outside the "
                "repository; nothing of it was used"
            )
        return {
            f.path: RemoteFile(f.path, f.size, f.oid if f.sha256 is None else None, f.sha256)
            for f in found
            if f.path not in strange
        }

    def download(self, repo: Repo, commit: str, files: Iterable[RemoteFile], folder: Path) -> None:
        """Fetch files into a folder, each checked by its hash.

        Raises:
            CheckpointError: if one is not what the Hub lists.
        """
        for file in files:

            def fetch(file: RemoteFile = file) -> None:
                # What an earlier attempt left may be no part of the file: begin anew.
                shutil.rmtree(folder / ".cache", ignore_errors=True)
                self._api.hf_hub_download(
                    repo.name,
                    file.path,
                    repo_type=repo.kind,
                    revision=commit,
                    local_dir=folder,
                    cache_dir=folder / ".cache",
                )

            self._ask(f"download {file.path} of {repo}", fetch)
            if (found := file.digest_of(folder / file.path)) != file.digest:
                raise CheckpointError(
                    f"{repo}: {file.path} came with hash {found}, expected {file.digest}; it was "
                    "damaged or changed on its way: try again"
                )
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's notes

    def commit(
        self,
        repo: Repo,
        message: str,
        prepare: Callable[[str], Mapping[str, Path | bytes]],
    ) -> str:
        """Put files into a repository in one commit, on top of exactly the one that was looked at.

        If somebody else commits in between, everything is prepared again for the new head. If an
        answer is lost, the head is read again as well: where the commit was made after all, nothing
        is left to change, and no second one is made.

        Args:
            repo: an existing repository.
            message: the commit's title.
            prepare: from the head's commit, the files by their path: where they are, or their
                content.

        Returns:
            The commit that holds the files.
        """
        attempts = Attempts(f"commit to {repo}", self._server, contended=True)
        while True:
            head = self.resolve(repo)
            operations = [
                CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
                for path, content in prepare(head).items()
            ]
            with attempts:
                self._api.preupload_lfs_files(
                    repo.name, operations, repo_type=repo.kind, free_memory=False
                )
                if ignored := [o.path_in_repo for o in operations if o._should_ignore]:
                    raise NetworkError(
                        f"the Hub: cannot commit to {repo}: its .gitignore leaves out "
                        f"{', '.join(ignored)}; remove that line or the file"
                    )
                info = self._api.create_commit(
                    repo.name,
                    operations,
                    commit_message=message,
                    repo_type=repo.kind,
                    parent_commit=head,
                )
                return _commit(info.oid)

    def _ask(self, what: str, request: Callable[[], Answer]) -> Answer:
        """What a request answers; asked again while the failure is one that passes.

        Args:
            what: is asked for, as in "cannot ...".
            request: calls the client and nothing else.

        Raises:
            NetworkError: if it does not pass, or not in time; says what to do, never the token.
        """
        attempts = Attempts(what, self._server)
        while True:
            with attempts:
                return request()


def _commit(answer: object) -> str:
    """A commit's name.

    Raises:
        ValueError: if it is none.
    """
    if not isinstance(answer, str) or COMMIT.fullmatch(answer) is None:
        raise ValueError("no name of a commit")
    return answer


def _listed(file: RepoFile) -> _Listed:
    """What a listing says of a file.

    Raises:
        ValueError: if it says that otherwise than the Hub does.
    """
    sha256 = None if file.lfs is None else file.lfs.sha256
    return _Listed(path=file.path, size=file.size, oid=file.blob_id, sha256=sha256)
