"""above keeps every promise of arbench about models, each a test of its own."""

from __future__ import annotations

from arbench.testing import conformance

test_conformance = conformance("model:above")
