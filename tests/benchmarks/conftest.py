"""Timings mean something only when nothing else runs: `make bench`, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every benchmark as slow, so that the fast suite leaves it out."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def restored_threads() -> Iterator[None]:
    """The number of threads is a setting of the process: put it back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
