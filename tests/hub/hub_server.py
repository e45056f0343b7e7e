"""A Hub on loopback: the endpoints that `huggingface_hub` uses, commits in memory, and faults.

Everything that a client can see is in `Repo`: a list of commits, each a whole tree. A commit is
made under a lock or not at all, and a stale parent is answered with 412, as the Hub does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from hub_evaluations import fault_of, leaderboard, results_of
from hub_faults import BODIES, SPOILED, TOKEN, Fault
from hub_repositories import Blob, Commit, Repo

_PLURALS = {"models": "model", "datasets": "dataset", "spaces": "space"}


class HubServer:
    """The state of the Hub, and two loopback addresses: the Hub's own and its file storage's."""

    def __init__(self, *, role: str = "write", org_role: str = "write") -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.storage: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, str | None]] = []  # origin, request, authorization
        self.role, self.org_role = role, org_role
        self.ignored: set[str] = set()  # paths that a `.gitignore` names
        self.lock = threading.RLock()
        self.before_commit = lambda: None  # a test may act between the client's look and its commit
        self._stalled = threading.Event()
        self._servers = [_serve(self, "hub"), _serve(self, "storage")]
        # Of two hosts, as the real ones are: some clients follow a redirect within one.
        self.url, self.storage_url = (
            f"http://{host}:{server.server_port}"
            for host, server in zip(("127.0.0.1", "localhost"), self._servers, strict=True)
        )

    def close(self) -> None:
        self._stalled.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def publish(self, name: str, files: dict[str, bytes], kind: str = "model") -> Commit:
        """A commit made without any client, such as an attacker's."""
        with self.lock:
            repo = self.repos.setdefault((kind, name), Repo())
            before = repo.head.files if repo.commits else {}
            blobs = {path: Blob(data, _is_large(path)) for path, data in files.items()}
            self.storage.update({b.sha256: b.data for b in blobs.values() if b.lfs})
            return repo.add("published", {**before, **blobs})

    def files(self, name: str, kind: str = "model") -> dict[str, bytes]:
        """What a repository's head holds."""
        return {path: blob.data for path, blob in self.repos[kind, name].head.files.items()}

    def seen(self, pattern: str) -> int:
        """How many requests matched."""
        return sum(re.search(pattern, request) is not None for _, request, _ in self.requests)

    def fault(self, request: str) -> str | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, request):
                    fault.times -= 1
                    return fault.kind
        return None

    def stall(self) -> None:
        self._stalled.wait(30)


@contextmanager
def hub_server(**roles: str) -> Iterator[HubServer]:
    """A server for the length of a test."""
    server = HubServer(**roles)
    try:
        yield server
    finally:
        server.close()


def _is_large(path: str) -> bool:
    """Whether it goes to large-file storage, as a new repository's `.gitattributes` says."""
    return path.endswith((".safetensors", ".png", ".wav"))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client may hang up on an answer that it need not read."""


def _serve(hub: HubServer, origin: str) -> ThreadingHTTPServer:
    handler = type("Handler", (_Handler,), {"hub": hub, "origin": origin})
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


class _NoAnswer(Exception):
    """The connection closes without an answer."""


class _Refused(Exception):
    def __init__(self, status: int, code: str = "", message: str = "refused") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two packets; without this the second waits 40 ms for the client.
    disable_nagle_algorithm = True
    hub: HubServer
    origin: str

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        request = f"{self.command} {unquote(urlsplit(self.path).path)}"
        fault = self.hub.fault(request)
        self.body = self.rfile.read(length)
        self.hub.requests.append((self.origin, request, self.headers.get("Authorization")))
        self.fault = fault
        try:
            if fault == "stall":
                self.hub.stall()
                raise _NoAnswer
            if fault in ("wait", "soon"):
                raise _Refused(429, message="wait")
            first, _, body = (fault or "").partition(" ")
            if first.isdigit() and body:
                self._answer(BODIES[body], int(first))
            elif first.isdigit():
                raise _Refused(int(first), message=f"refused {self.headers.get('Authorization')}")
            elif first == "instead":
                self._answer(BODIES[body])
            else:
                self._route(request)
        except _NoAnswer:
            self.close_connection = True
        except _Refused as refused:
            headers = {"X-Error-Code": refused.code} if refused.code else {}
            if fault in ("wait", "soon"):
                headers["Retry-After"] = "3600" if fault == "wait" else "1"
            body = json.dumps({"error": str(refused)}).encode()
            self._answer(body, refused.status, headers | {"Content-Type": "application/json"})

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _route(self, request: str) -> None:
        for pattern, name in _ROUTES:
            if match := re.fullmatch(pattern, request):
                getattr(self, name)(**match.groupdict())
                return
        raise _Refused(404)

    def _answer(
        self, body: bytes, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        if self.fault == "lost":
            raise _NoAnswer
        if (self.fault or "").removeprefix("after ") in BODIES:
            body, headers = BODIES[(self.fault or "").removeprefix("after ")], None
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.fault == "flip" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if self.fault == "cut":
            self.wfile.write(body[: len(body) // 2])
            raise _NoAnswer
        self.wfile.write(body)

    def _json(self, value: object, headers: dict[str, str] | None = None) -> None:
        if spoil := SPOILED.get((self.fault or "").removeprefix("after ")):
            value = spoil(value)
        self._answer(
            json.dumps(value).encode(), 200, {"Content-Type": "application/json", **(headers or {})}
        )

    def _authorise(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _Refused(401, message="Invalid credentials")

    def _repo(self, kinds: str, name: str) -> Repo:
        repo = self.hub.repos.get((_PLURALS[kinds], name))
        if repo is None:
            raise _Refused(404, "RepoNotFound")
        return repo

    def _commit_at(self, kinds: str, name: str, rev: str) -> Commit:
        commit = self._repo(kinds, name).at(rev)
        if commit is None:
            raise _Refused(404, "RevisionNotFound")
        return commit

    # The endpoints

    def whoami(self) -> None:
        self._authorise()
        self._json(
            {
                "type": "user",
                "name": "somebody",
                "orgs": [{"name": "org", "roleInOrg": self.hub.org_role}],
                "auth": {"type": "access_token", "accessToken": {"role": self.hub.role}},
            }
        )

    def create(self) -> None:
        self._authorise()
        wanted = json.loads(self.body)
        kind = wanted.get("type", "model")
        name = f"{wanted.get('organization') or 'somebody'}/{wanted['name']}"
        url = f"{self.hub.url}/{'' if kind == 'model' else kind + 's/'}{name}"
        with self.hub.lock:
            if (kind, name) in self.hub.repos:
                body = json.dumps({"error": "You already created this", "url": url}).encode()
                self._answer(body, 409, {"Content-Type": "application/json"})
                return
            self.hub.repos[kind, name] = Repo()
            self.hub.repos[kind, name].add("initial commit", {".gitattributes": Blob(b"lfs\n")})
        self._json({"url": url, "name": name, "id": name})

    def info(self, kinds: str, name: str, rev: str | None = None) -> None:
        commit = self._commit_at(kinds, name, rev or "main")
        about: dict[str, Any] = {"id": name, "sha": commit.oid, "private": False}
        about["siblings"] = [{"rfilename": path} for path in commit.files]
        if "expand=evalResults" in self.path:
            about["evalResults"] = results_of(self.hub.files(name))
        self._json(about)

    def leaderboard(self, name: str) -> None:
        self._repo("datasets", name)
        kinds = {model: self.hub.files(model) for kind, model in self.hub.repos if kind == "model"}
        with_parents = "base_model=false" in self.path.lower()
        self._json(leaderboard(name, kinds, with_parents=with_parents))

    def tree(self, kinds: str, name: str, rev: str) -> None:
        files = self._commit_at(kinds, name, rev).files
        entries = [blob.entry(path) for path, blob in sorted(files.items())]
        start = int(re.search(r"cursor=(\d+)", self.path + "&cursor=0")[1])  # type: ignore[index]
        page, following = entries[start : start + 50], start + 50
        link = f"{self.hub.url}/api/{kinds}/{name}/tree/{rev}?recursive=true&cursor={following}"
        page = [] if self.fault == "endless" else page
        more = {"Link": f'<{link}>; rel="next"'} if following < len(entries) or not page else {}
        self._json(page, more)

    def check_yaml(self) -> None:
        self._json({"errors": [], "warnings": []})

    def preupload(self, kinds: str, name: str, rev: str) -> None:
        self._authorise()
        there = self._commit_at(kinds, name, rev).files
        answer = []
        for file in json.loads(self.body)["files"]:
            path, blob = file["path"], there.get(file["path"])
            oid = None if blob is None else blob.sha256 if blob.lfs else blob.oid
            mode = "lfs" if _is_large(path) else "regular"
            ignored = path in self.hub.ignored
            answer.append({"path": path, "uploadMode": mode, "shouldIgnore": ignored, "oid": oid})
        self._json({"files": answer})

    def batch(self, name: str) -> None:
        self._authorise()
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            href = f"{self.hub.storage_url}/upload/{wanted['oid']}"
            actions = {} if wanted["oid"] in self.hub.storage else {"upload": {"href": href}}
            objects.append({**wanted, **({"actions": actions} if actions else {})})
        self._json({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise _Refused(422)
        self.hub.storage[oid] = self.body
        self._answer(b"")

    def commit(self, kinds: str, name: str, rev: str) -> None:
        self._authorise()
        repo = self._repo(kinds, name)
        self.hub.before_commit()
        header: dict[str, Any] = {}
        with self.hub.lock:
            files = dict(repo.head.files)
            for line in map(json.loads, self.body.splitlines()):
                value = line["value"]
                if line["key"] == "header":
                    header = value
                elif line["key"] == "file":
                    files[value["path"]] = Blob(base64.b64decode(value["content"]))
                elif line["key"] == "lfsFile":
                    if value["oid"] not in self.hub.storage:
                        raise _Refused(400, message="no such object")
                    files[value["path"]] = Blob(self.hub.storage[value["oid"]], lfs=True)
                else:
                    files.pop(value["path"], None)
            if header.get("parentCommit") not in (None, repo.head.oid):
                raise _Refused(412, message="A commit has happened since. Please refresh")
            if fault := fault_of(kinds, {path: blob.data for path, blob in files.items()}):
                raise _Refused(400, message=fault)
            oid = repo.add(header["summary"], files).oid
        prefix = "" if kinds == "models" else f"{kinds}/"
        url = f"{self.hub.url}/{prefix}{name}/commit/{oid}"
        self._json({"success": True, "commitUrl": url, "commitOid": oid})

    def resolve(self, name: str, rev: str, path: str, kinds: str | None = None) -> None:
        commit = self._commit_at(kinds or "models", name, rev)
        blob = commit.files.get(path)
        if blob is None:
            raise _Refused(404, "EntryNotFound")
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{blob.oid}"'}
        if not blob.lfs:
            self._answer(blob.data, 200, {**headers, "Content-Length": str(len(blob.data))})
            return
        headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.data))}
        location = f"{self.hub.storage_url}/blob/{blob.sha256}"
        self._answer(b"", 302, {**headers, "Location": location})

    def blob(self, oid: str) -> None:
        data = self.hub.storage[oid]
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if asked is None:
            self._answer(data)
            return
        start = int(asked[1])
        span = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._answer(data[start:], 206, {"Content-Range": span})


_API = r"/api/(?P<kinds>models|datasets|spaces)/(?P<name>[^/]+/[^/]+)"
_ROUTES = [
    (r"GET /api/whoami-v2", "whoami"),
    (r"POST /api/repos/create", "create"),
    (r"POST /api/validate-yaml", "check_yaml"),
    (rf"GET {_API}", "info"),
    (r"GET /api/datasets/(?P<name>[^/]+/[^/]+)/leaderboard", "leaderboard"),
    (rf"GET {_API}/revision/(?P<rev>[^/]+)", "info"),
    (rf"GET {_API}/tree/(?P<rev>[^/]+)", "tree"),
    (rf"POST {_API}/preupload/(?P<rev>[^/]+)", "preupload"),
    (rf"POST {_API}/commit/(?P<rev>[^/]+)", "commit"),
    (r"POST /(?:(?:datasets|spaces)/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
    (r"PUT /upload/(?P<oid>[0-9a-f]{64})", "upload"),
    (r"(?:GET|HEAD) /blob/(?P<oid>[0-9a-f]{64})", "blob"),
    (
        r"(?:GET|HEAD) /(?:(?P<kinds>datasets|spaces)/)?(?P<name>[^/]+/[^/]+)"
        r"/resolve/(?P<rev>[^/]+)/(?P<path>.+)",
        "resolve",
    ),
]
