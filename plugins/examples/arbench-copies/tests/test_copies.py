"""Checks every promise of arbench about measurements on copies; each is one test."""

from __future__ import annotations

from arbench_copies.copies import Copies

from arbench.testing import conformance

test_conformance = conformance(Copies)
