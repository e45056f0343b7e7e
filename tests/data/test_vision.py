"""torchvision: imported beside any torch, and its downloads checked a second time."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from arbench.data import vision
from arbench.data.sources import SourceFile, fetch
from arbench.errors import DataError, NetworkError
from arbench_mnist import raw as mnist_files
from arbench_mnist.resampled import MNIST

IMAGES = np.array([0x803, 2, 28, 28], ">i4").tobytes() + bytes(2 * 784)
LABELS = np.array([0x801, 2], ">i4").tobytes() + bytes([3, 7])
NAMES = {
    "train-images-idx3-ubyte": IMAGES,
    "train-labels-idx1-ubyte": LABELS,
    "t10k-images-idx3-ubyte": IMAGES,
    "t10k-labels-idx1-ubyte": LABELS,
}


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder served as the second of two mirrors, holding a tiny MNIST; the first is down."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    resources = []
    for name, content in NAMES.items():
        packed = gzip.compress(content)
        (folder / f"{name}.gz").write_bytes(packed)
        resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    mnist = vision.load_torchvision().datasets.MNIST
    there = f"http://127.0.0.1:{httpd.server_port}/"
    monkeypatch.setattr(mnist, "mirrors", ["http://127.0.0.1:9/", there])
    monkeypatch.setattr(mnist, "resources", resources)
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ARBENCH_DATA", raising=False)
    yield folder
    httpd.shutdown()
    httpd.server_close()


def raw(name: str, content: bytes) -> SourceFile:
    return SourceFile(
        path=f"MNIST/raw/{name}",
        urls=(),
        sha256=hashlib.sha256(content).hexdigest(),
        dataset="MNIST",
    )


def cached(folder: Path) -> set[str]:
    return {path.name for path in (folder / "cache").rglob("*") if path.is_file()}


def test_it_imports_in_a_fresh_process_and_is_not_imported_before() -> None:
    code = (
        "import sys; from arbench.data import vision;"
        "assert 'torchvision' not in sys.modules;"
        "loaded = vision.load_torchvision(); import torchvision;"
        "assert loaded is torchvision and torchvision.datasets.MNIST"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_any_other_failure_of_the_import_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(name: str) -> ModuleType:
        raise RuntimeError("operator torchvision::roi_align does not exist")

    monkeypatch.setattr(vision.importlib, "import_module", failing)
    with pytest.raises(RuntimeError, match="roi_align"):
        vision.load_torchvision.__wrapped__()


def test_one_download_brings_every_file_and_nothing_else(mirror: Path, tmp_path: Path) -> None:
    assert fetch(raw("train-images-idx3-ubyte", IMAGES)).read_bytes() == IMAGES
    assert cached(tmp_path) == set(NAMES)
    for archive in mirror.iterdir():
        archive.unlink()
    assert fetch(raw("t10k-labels-idx1-ubyte", LABELS)).read_bytes() == LABELS


def test_a_tampered_archive_leaves_nothing_behind(mirror: Path, tmp_path: Path) -> None:
    (mirror / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(IMAGES + b"x"))
    with pytest.raises(NetworkError) as caught:
        fetch(raw("train-images-idx3-ubyte", IMAGES))
    for word in ("127.0.0.1:9", "MNIST/raw/train-images-idx3-ubyte", "mnist-mini", "ARBENCH_DATA"):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert cached(tmp_path) == set()


def test_a_file_that_passes_torchvision_but_not_us_is_refused(mirror: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=hashlib.sha256(IMAGES).hexdigest()):
        fetch(raw("train-images-idx3-ubyte", IMAGES[:-1]))
    assert cached(tmp_path) == set()


def test_the_labels_of_mnist_come_with_its_digits(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, file, content in (
        ("TEST_LABELS", "t10k-labels-idx1-ubyte", LABELS),
        ("TEST_IMAGES", "t10k-images-idx3-ubyte", IMAGES),
    ):
        monkeypatch.setattr(mnist_files, name, raw(file, content))
    labels = MNIST().load_labels("test")
    assert labels.values.tolist() == [3, 7]
    assert labels.names == tuple("0123456789")
    for archive in mirror.iterdir():
        archive.unlink()
    assert len(MNIST().load("test")) == 2
