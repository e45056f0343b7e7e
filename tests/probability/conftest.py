"""Tiny tensors: threads would only wait for each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

# A busy machine is no failure, and a failure should come back.
settings.register_profile("arbench", deadline=None, derandomize=True)
settings.load_profile("arbench")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
