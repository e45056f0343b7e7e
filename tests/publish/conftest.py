"""Results of a test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import MakeResult, maker


@pytest.fixture
def make_result(tmp_path: Path) -> MakeResult:
    """A maker of results; see `making.maker`."""
    return maker(tmp_path)
