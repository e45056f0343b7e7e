"""Too large a network is refused before memory is used, with what would fit; loading never is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import arbench
from arbench.data.tasks import open_task
from arbench.errors import ConfigError
from arbench.runs.request import RunRequest, resolve
from arbench.runs.start import size
from arbench.runs.start.size import MOST_PARAMETERS, num_parameters, require_size

CPU = torch.device("cpu")
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A few small colour images: 768 dims of 256 values."""
    file = tmp_path_factory.mktemp("photographs") / "rows.npz"
    np.savez(file, images=PIXELS)
    return f"images:{file}"


def _refusal(task: str, model: str, **settings: Any) -> str:
    config, _ = resolve(RunRequest(task=task, model=model, overrides=settings), open_task(task))
    with pytest.raises(ConfigError) as caught:
        require_size(config, num_parameters(config), CPU)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _count(task: str, model: str, **settings: Any) -> int:
    request = RunRequest(task=task, model=model, overrides=settings)
    return num_parameters(resolve(request, open_task(task))[0])


def test_the_setting_that_makes_it_large_is_named_and_the_next_larger_would_not_fit(
    photographs: str,
) -> None:
    said = _refusal(photographs, "nade", hidden=900)
    assert "events (3, 16, 16), of 256 values each" in said
    found = re.search(r"Most of it is hidden = 900: --set hidden=(\d+) would fit", said)
    assert found, said
    fits = int(found[1])
    assert _count(photographs, "nade", hidden=fits) <= MOST_PARAMETERS
    assert _count(photographs, "nade", hidden=fits + 1) > MOST_PARAMETERS


def test_sizes_that_are_lists_and_copies_shrink_too(photographs: str) -> None:
    said = _refusal(photographs, "made", hidden=[400, 300], alternative="dropout", direct=False)
    found = re.search(r"--set hidden=(\[\d+,\d+\]) would fit", said)
    assert found, said
    assert "hidden = 1000: --set hidden=770 would fit" in _refusal(
        "names", "lstm", hidden=1000, num_layers=1, num_copies=40
    )
    # Its direct weights are a matrix of all pairs of values; without them, its layers are too wide.
    said = _refusal(photographs, "made", hidden=[900], alternative="dropout")
    found = re.search(
        r"is direct = true: --set direct=false --set hidden=\[(\d+)\] would fit", said
    )
    assert found, said
    fits = {"alternative": "dropout", "direct": False}
    assert _count(photographs, "made", hidden=[int(found[1])], **fits) <= MOST_PARAMETERS
    assert _count(photographs, "made", hidden=[int(found[1]) + 1], **fits) > MOST_PARAMETERS
    one, many = (_count("names", "lstm", hidden=9, num_copies=copies) for copies in (1, 40))
    assert many == 40 * one


def test_events_that_are_too_large_for_any_setting_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "large.npz", images=np.tile(PIXELS, (1, 18, 18, 1)))
    said = _refusal(f"images:{tmp_path / 'large.npz'}", "nade", hidden=2)
    assert "hidden = 2, but with --set hidden=1 it still has" in said
    assert said.endswith("take smaller events, or a model whose weights do not grow with them")


def test_a_run_is_refused_before_it_has_a_folder_unless_it_may_be_large(
    photographs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="without --large"):
        arbench.run(photographs, "nade", settings={"hidden": 900}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    # What is large is a matter of the limit; one that takes no gigabyte is admitted by the flag.
    monkeypatch.setattr(size, "MOST_PARAMETERS", 1000)
    monkeypatch.setattr("arbench.runs.experiment._SMALL", 0)
    asked: dict[str, Any] = {"epochs": 1, "limit": 8, "settings": {"hidden": 40}}
    with pytest.raises(ConfigError, match="has 2,632 parameters"):
        arbench.run("toy-markov", "nade", out=tmp_path / "toy", **asked)
    made = arbench.run("toy-markov", "nade", out=tmp_path / "toy", large=True, **asked)
    arbench.load(made.path)  # the limit is none of loading


def test_what_memory_does_not_hold_is_refused_with_both_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(size, "_free_bytes", lambda device: 100_000)
    said = _refusal("toy-markov", "nade", hidden=400)
    count = _count("toy-markov", "nade", hidden=400)
    copies = re.search(r"takes ([\d.]+) GB, and 0.0 GB", said)
    assert copies, said
    found = re.search(r"--set hidden=(\d+) would fit, with ([\d,]+)", said)
    assert found, said
    assert _count("toy-markov", "nade", hidden=int(found[1])) == int(found[2].replace(",", ""))
    assert int(found[1]) < 400 < count
