"""logistic keeps every promise of arbench about heads, each a test of its own."""

from __future__ import annotations

from arbench.testing import conformance

test_conformance = conformance("head:logistic")
