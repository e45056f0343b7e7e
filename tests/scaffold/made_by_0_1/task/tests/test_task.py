"""bars keeps every promise of arbench about tasks, each a test of its own."""

from __future__ import annotations

from arbench.testing import conformance

test_conformance = conformance("task:bars")
