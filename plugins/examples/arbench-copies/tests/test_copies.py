"""The measurement keeps every promise of arbench about measurements, each a test of its own."""

from __future__ import annotations

from arbench_copies.copies import Copies

from arbench.testing import conformance

test_conformance = conformance(Copies)
