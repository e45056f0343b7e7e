"""The Hugging Face Hub: requests that end, commits that happen once, downloads that are checked.

What `huggingface_hub` leaves open is closed here. Its client waits for ever unless it is given a
timeout; it retries uploads and listings, but neither `whoami` nor the creation of a repository nor
a commit; it waits as long as a server tells it to; and it believes a download of the right size.
"""

from __future__ import annotations

import functools
import hashlib
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from traceback import format_exception
from typing import Literal, TypeVar

# These are read when the client is imported. Uploads go through plain HTTP, which any Hub speaks.
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "30")
os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # failures are told here, in one line

import httpx2
import huggingface_hub
from huggingface_hub import CommitOperationAdd, HfApi, RepoFile
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from huggingface_hub.utils._http import hf_request_event_hook, parse_ratelimit_headers

import arbench
from arbench.errors import ArbenchError, CheckpointError, ConfigError, NetworkError
from arbench.experiment.files import sha256_of

RepoKind = Literal["model", "dataset", "space"]
Answer = TypeVar("Answer")

DEADLINE_S = 180.0
FIRST_WAIT_S = 1.0
_MOST_TRIES = 4
_LONGEST_WAIT_S = 60
_MOST_FILES = 20_000
_NAME = "[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_])?"  # and no ".." or "--", says the Hub
_REPO = re.compile(f"{_NAME}/{_NAME}")
_LONGEST_NAME = 96
PASSING = {408, 429, 500, 502, 503, 504}
_STALE = 412


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

    def digest_of(self, path: Path) -> str:
        """The same of a file on this machine."""
        return sha256_of(path) if self.sha256 is not None else _git_hash(path)


def parse_repo(text: str, kind: RepoKind = "model") -> Repo:
    """The repository that a user names.

    Raises:
        ConfigError: if that is not "ORG/NAME".
    """
    if not _REPO.fullmatch(text) or ".." in text or "--" in text or len(text) > _LONGEST_NAME:
        raise ConfigError(f"{text!r} names no repository: expected ORG/NAME, such as me/mnist-nade")
    return Repo(text, kind)


class Hub:
    """A connection to the Hub that `HF_ENDPOINT` names, with the user's token if there is one."""

    def __init__(self) -> None:
        _give_the_client_an_end()
        self._token = huggingface_hub.get_token()
        self._api = HfApi(
            endpoint=os.environ.get("HF_ENDPOINT") or None,
            token=self._token or False,
            library_name="arbench",
            library_version=arbench.__version__,
        )

    def url(self, repo: Repo) -> str:
        """Where a person finds the repository."""
        return f"{self._api.endpoint}/{repo}"

    def check_access(self, namespace: str) -> None:
        """Find out whether the user may write there, before anything costs time.

        Raises:
            NetworkError: if not, or if the Hub does not answer.
        """
        if self._token is None:
            raise NetworkError(
                f"pushing to {namespace} needs a token: log in with `hf auth login`, or set "
                "HF_TOKEN to one with write access"
            )
        me = self._ask("ask who you are", lambda: self._api.whoami())
        role = me.get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            raise NetworkError("your token may only read: make one with write access and log in")
        orgs = [org["name"] for org in me.get("orgs", []) if org.get("roleInOrg") != "read"]
        if namespace not in (me["name"], *orgs):
            mine = ", ".join([me["name"], *orgs])
            raise NetworkError(f"you may not write to {namespace}; you may write to: {mine}")

    def create(self, repo: Repo, *, private: bool = False) -> None:
        """Make sure that the repository exists."""
        self._ask(
            f"create {repo}",
            lambda: self._api.create_repo(
                repo.name,
                repo_type=repo.kind,
                exist_ok=True,
                private=private or None,
                space_sdk="static" if repo.kind == "space" else None,
            ),
        )

    def resolve(self, repo: Repo, revision: str = "main") -> str:
        """The commit that a revision stands for."""
        info = self._ask(
            f"find {repo}",
            lambda: self._api.repo_info(repo.name, revision=revision, repo_type=repo.kind),
        )
        if not re.fullmatch("[0-9a-f]{40}", info.sha or ""):
            raise CheckpointError(f"{repo}: the Hub names no commit for {revision}")
        return str(info.sha)

    def files(self, repo: Repo, commit: str) -> dict[str, RemoteFile]:
        """Every file at a commit, by its path.

        Raises:
            CheckpointError: if a path leads anywhere but into the repository, or there are more
                files than anything of arbench has.
        """

        def listing() -> list[RepoFile]:
            tree = self._api.list_repo_tree(
                repo.name, revision=commit, recursive=True, repo_type=repo.kind
            )
            return [e for e in islice(tree, _MOST_FILES + 1) if isinstance(e, RepoFile)]

        found = self._ask(f"list {repo}", listing)
        if len(found) > _MOST_FILES:
            raise CheckpointError(
                f"{repo}: holds more than {_MOST_FILES:,} files, which no run and no board has; "
                "nothing of it was used"
            )
        for file in found:
            if not _is_plain(file.path):
                raise CheckpointError(
                    f"{repo}: holds a file named {file.path!r}, which would lie outside the "
                    "repository; nothing of it was used"
                )
        return {
            f.path: RemoteFile(
                f.path,
                f.size,
                f.blob_id if f.lfs is None else None,
                None if f.lfs is None else f.lfs.sha256,
            )
            for f in found
        }

    def download(self, repo: Repo, commit: str, files: Iterable[RemoteFile], folder: Path) -> None:
        """Fetch files into a folder, each checked by its hash.

        Raises:
            CheckpointError: if one is not what the Hub lists.
        """
        for file in files:

            def fetch(file: RemoteFile = file) -> None:
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

        def attempt() -> str:
            head = self.resolve(repo)
            operations = [
                CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
                for path, content in prepare(head).items()
            ]
            info = self._api.create_commit(
                repo.name,
                operations,
                commit_message=message,
                repo_type=repo.kind,
                parent_commit=head,
            )
            return str(info.oid)

        return self._ask(f"commit to {repo}", attempt)

    def _ask(self, what: str, request: Callable[[], Answer]) -> Answer:
        """What a request answers; asked again while the failure is one that passes.

        Raises:
            NetworkError: if it does not pass, or not in time; says what to do, never the token.
        """
        deadline = time.monotonic() + DEADLINE_S
        wait = FIRST_WAIT_S
        failures = conflicts = 0
        while True:
            try:
                return request()
            except (httpx2.HTTPError, OSError, EntryNotFoundError, RuntimeError, ValueError) as e:
                error = _cause(e)
                if isinstance(error, ArbenchError):
                    raise error from e
                status = _status(error)
                if status is None and not _is_network(error):
                    raise  # the disk's failure, or a mistake of ours
            if status == _STALE:  # somebody else was faster, which is no failure
                conflicts += 1
                pause = random.uniform(0.05, 0.1 + 0.1 * conflicts)
            else:
                failures += 1
                pause, wait = wait, 2 * wait
            passes = status in PASSING or status in (None, _STALE)
            in_time = time.monotonic() + pause < deadline
            if not passes or failures >= _MOST_TRIES or not in_time:
                message = f"the Hub: cannot {what}: {self._reason(error)}"
                raise NetworkError(message, status=status) from (
                    None if self._shows_token(error) else error
                )
            time.sleep(pause)

    def _shows_token(self, error: BaseException) -> bool:
        """Whether a traceback would show the token, which a server may have echoed."""
        return self._token is not None and self._token in "".join(format_exception(error))

    def _reason(self, error: BaseException) -> str:
        """What went wrong and what to do, without a word of the server's: it may echo the token."""
        status = _status(error)
        if status is None:
            return f"{type(error).__name__} at {self._api.endpoint}; check the network, try again"
        who = "it does not accept your token" if self._token else "it does not know who you are"
        reasons = {
            401: f"{who}; log in with `hf auth login`, or set HF_TOKEN",
            403: "you have no right to it; use a token with write access to that organisation",
            404: "there is no such thing, or it is private; check the name and the revision, or "
            "log in with `hf auth login`",
            _STALE: "others keep committing to it; try again later",
            429: "it asks for fewer requests; try again later",
        }
        later = "; try again later" if status in PASSING else ""
        return reasons.get(status, f"it answers with status {status}{later}")


@functools.cache
def _give_the_client_an_end() -> None:
    """Once: setting it again would close the connections of other threads."""
    huggingface_hub.set_client_factory(_client)


def _client() -> httpx2.Client:
    """The client's own, with a timeout and an end to patience."""
    return httpx2.Client(
        event_hooks={
            "request": [hf_request_event_hook, _set_an_end],
            "response": [_refuse_long_waits],
        },
        follow_redirects=True,
        timeout=huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT,
    )


def _set_an_end(request: httpx2.Request) -> None:
    """Give a request the client's timeout where a call asks for none, as `repo_info` does."""
    default = huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT
    asked = request.extensions.get("timeout", {})
    request.extensions["timeout"] = {
        phase: default if asked.get(phase) is None else asked[phase]
        for phase in ("connect", "read", "write", "pool")
    }


def _refuse_long_waits(response: httpx2.Response) -> None:
    """The client sleeps for as long as it is told to; a user would rather know.

    Raises:
        NetworkError: if a server asks for more than a minute.
    """
    if response.status_code not in PASSING:
        return
    told = response.headers.get("Retry-After", "")
    wait = int(told) if told.isdigit() else 0
    limit = parse_ratelimit_headers(response.headers)
    if response.status_code == 429 and limit is not None and limit.remaining == 0:
        wait = limit.reset_in_seconds
    if wait > _LONGEST_WAIT_S:
        raise NetworkError(f"the Hub asks to come back in {wait:,} seconds; try again then")


def _cause(error: BaseException) -> BaseException:
    """The failure of the request itself: the client wraps it where several threads upload."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, (httpx2.HTTPError, ArbenchError)):
        found = found.__cause__
    return found or error


def _status(error: BaseException) -> int | None:
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def _is_network(error: BaseException) -> bool:
    """Whether the request failed on its way, and not this machine."""
    if isinstance(error, (httpx2.TransportError, ConnectionError, EntryNotFoundError)):
        return True
    # The client's own complaint, that a download is too short, has no number.
    return isinstance(error, OSError) and error.errno is None


def _is_plain(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return (
        path == "/".join(parts)
        and not any(part in ("", ".", "..", "/") for part in parts)
        and all(character.isprintable() and character not in "\\:" for character in path)
    )


def _git_hash(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
