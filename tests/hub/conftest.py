"""A Hub of the test's own, a cache of its own, and small runs to push."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import pytest
from hub_faults import TOKEN
from hub_server import HubServer, hub_server

import arbench
from arbench.files.canonical import sealed
from arbench.hub import attempts


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub that the client talks to, with little patience on both sides."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(attempts, "FIRST_WAIT_S", 0.05)
    # Read when the client was imported, which another test may have done before.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 2)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_ETAG_TIMEOUT", 2)
    with hub_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    huggingface_hub.close_session()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where the cache is, once there is one."""
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on all digits that ship with the package: the floor, trained in a second."""
    out = tmp_path_factory.mktemp("trained") / "run"
    return arbench.run("mnist-mini", "bernoulli", device="cpu", out=out).path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def result(trained: Path, tmp_path: Path) -> Callable[[int], Path]:
    """A run folder that claims other weights: another row of a board, by its number."""

    def make(number: int) -> Path:
        folder = Path(shutil.copytree(trained, tmp_path / f"result-{number}"))
        record = json.loads((folder / "record.json").read_text())
        record["sha256"]["weights"] = f"{number:08x}" + "0" * 56
        record["training"]["recipe_sha256"] = f"{number:064x}"  # seeds of one would share a row
        (folder / "record.json").write_text(json.dumps(sealed(record)))
        return folder

    return make
