"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def _deterministic() -> None:
    """Every test starts from the same generator state, alone or in company."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data, `$ARBENCH_DATA`; without it the test is skipped and says why."""
    folder = os.environ.get("ARBENCH_DATA")
    if not folder:
        pytest.skip("ARBENCH_DATA is not set: this test needs real data")
    return Path(folder)
