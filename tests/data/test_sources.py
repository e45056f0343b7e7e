"""Source files: precedence, checks, and downloads from a real server that misbehaves."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from arbench.data.sources import SourceFile, fetch, locate
from arbench.errors import DataError, NetworkError
from arbench.files.atomic import sha256_of

GOOD = bytes(range(256)) * 64
TAMPERED = GOOD[:-1] + b"\0"
SHA256 = hashlib.sha256(GOOD).hexdigest()
NOBODY = "http://127.0.0.1:9"  # the discard port: refused at once


class Handler(BaseHTTPRequestHandler):
    """Sends the good body, a tampered one, half of it, or nothing, as the path asks."""

    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        body = {"/tampered": TAMPERED}.get(self.path, GOOD)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/cut" else body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ARBENCH_DATA", raising=False)
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def user_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "user data"
    (folder / "set").mkdir(parents=True)
    monkeypatch.setenv("ARBENCH_DATA", str(folder))
    return folder


def file(*urls: str, sha256: str | None = SHA256, size: int | None = None) -> SourceFile:
    return SourceFile(path="set/file.bin", urls=urls, sha256=sha256, size=size)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_good_download_lands_in_the_cache_and_is_not_repeated(server: str, cache: Path) -> None:
    path = fetch(file(f"{server}/good"))
    assert path == cache / "set/file.bin"
    assert path.read_bytes() == GOOD
    assert files_in(cache) == {"set/file.bin"}
    assert fetch(file(NOBODY)) == path


def test_a_download_clears_away_the_half_of_one_that_was_killed(server: str, cache: Path) -> None:
    (cache / "set").mkdir(parents=True)
    (cache / "set" / ".file.bin.tmp-1").write_bytes(GOOD[:100])
    fetch(file(f"{server}/good"))
    assert files_in(cache) == {"set/file.bin"}


@pytest.mark.parametrize("first", ["/missing", "/cut", "/tampered", None])
def test_a_mirror_takes_over(server: str, cache: Path, first: str | None) -> None:
    bad = NOBODY if first is None else server + first
    assert fetch(file(bad, f"{server}/good")).read_bytes() == GOOD
    assert files_in(cache) == {"set/file.bin"}


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_a_cut_body_is_refused_even_unpinned(server: str, cache: Path, sha256: str | None) -> None:
    with pytest.raises(NetworkError, match="/cut"):
        fetch(file(f"{server}/cut", sha256=sha256))
    assert files_in(cache) == set()


def test_a_body_of_the_right_length_and_the_wrong_bytes_is_refused(
    server: str, cache: Path
) -> None:
    with pytest.raises(DataError) as caught:
        fetch(file(f"{server}/tampered", size=len(GOOD)))
    assert SHA256 in str(caught.value)
    assert hashlib.sha256(TAMPERED).hexdigest() in str(caught.value)
    assert files_in(cache) == set()


def test_a_wrong_size_is_refused_when_there_is_no_hash(server: str, cache: Path) -> None:
    with pytest.raises(DataError, match=f"{len(GOOD)} bytes, expected 5"):
        fetch(file(f"{server}/good", sha256=None, size=5))
    assert files_in(cache) == set()


def test_everything_down_is_one_line_with_the_offline_choices(server: str) -> None:
    with pytest.raises(NetworkError) as caught:
        fetch(file(NOBODY, f"{server}/missing"))
    message = str(caught.value)
    assert "\n" not in message
    for word in (NOBODY, "status 404", "set/file.bin", "ARBENCH_DATA", "mnist-mini"):
        assert word in message


def test_the_users_folder_comes_before_the_cache(server: str, cache: Path, user_data: Path) -> None:
    assert fetch(file(f"{server}/good")) == cache / "set/file.bin"
    (user_data / "set/file.bin").write_bytes(GOOD)
    assert fetch(file(NOBODY)) == user_data / "set/file.bin"


@pytest.mark.parametrize("content", [TAMPERED, GOOD[:100], b""])
def test_a_wrong_file_of_the_user_is_an_error_and_stays(
    server: str, cache: Path, user_data: Path, content: bytes
) -> None:
    path = user_data / "set/file.bin"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        fetch(file(f"{server}/good"))
    for word in (str(path), SHA256, sha256_of(path)):
        assert word in str(caught.value)
    assert path.read_bytes() == content
    assert not cache.exists()


def test_a_wrong_file_in_the_cache_is_an_error(server: str, cache: Path) -> None:
    fetch(file(f"{server}/good")).write_bytes(TAMPERED)
    with pytest.raises(DataError, match=SHA256):
        fetch(file(f"{server}/good"))


def test_an_unpinned_file_is_held_to_its_first_download(server: str, cache: Path) -> None:
    source = file(f"{server}/good", sha256=None)
    path = fetch(source)
    assert fetch(source) == path
    path.write_bytes(TAMPERED)
    with pytest.raises(DataError, match=SHA256):
        fetch(source)
    path.unlink()
    with pytest.raises(DataError, match=SHA256):
        fetch(file(f"{server}/tampered", sha256=None))


def test_a_file_is_located_without_a_download(server: str, user_data: Path) -> None:
    source = file(f"{server}/good")
    assert locate(source) is None
    assert fetch(source) == locate(source)
    (user_data / source.path).parent.mkdir(parents=True, exist_ok=True)
    (user_data / source.path).write_bytes(GOOD)
    assert locate(source) == user_data / source.path


def test_a_data_variable_that_names_no_folder_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARBENCH_DATA", str(tmp_path / "typo"))
    with pytest.raises(DataError, match=r"ARBENCH_DATA=.*typo"):
        locate(file())


def test_a_cache_that_cannot_be_written_is_one_line_that_names_the_variable(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in the way").write_text("")
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "in the way" / "cache"))
    with pytest.raises(DataError) as caught:
        fetch(file(f"{server}/good"))
    assert "ARBENCH_CACHE" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_importing_arbench_imports_neither_this_nor_its_libraries() -> None:
    code = (
        "import sys, arbench, arbench.registry.manager as m; m.registry();"
        "bad = {'arbench.data.sources', 'httpx2', 'torch'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
