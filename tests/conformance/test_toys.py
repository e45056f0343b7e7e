"""The toys that other tests lean on pass every check themselves."""

from __future__ import annotations

import pytest

from arbench.testing import conformance
from arbench.testing.conformance import CHECKS, run_checks
from arbench.testing.toys import (
    TINY_SPECS,
    CountingTable,
    LinearNetwork,
    SteppingTable,
    TableNetwork,
)

test_table = conformance(TableNetwork)
test_stepping_table = conformance(SteppingTable)
test_counting_table = conformance(CountingTable)
test_linear = conformance(LinearNetwork)


def test_not_applicable_is_said_and_never_everywhere() -> None:
    class OnlyBinary(LinearNetwork):
        def __init__(self, layout, num_params) -> None:  # type: ignore[no-untyped-def]
            if layout.alphabet_size != 2:
                raise ValueError("this network needs binary data")
            super().__init__(layout, num_params)

    results = run_checks(OnlyBinary, checks={"normalisation": CHECKS["normalisation"]})
    status = {r.subject: (r.status, r.message) for r in results}
    assert status["binary-3x3 raster"] == ("passed", "")
    assert status["sequence-5 raster"] == ("not applicable", "this network needs binary data")
    assert len(results) == 18


@pytest.mark.parametrize("check", ["normalisation", "causality"])
def test_crash_of_a_network_is_a_failure_with_its_error(check: str) -> None:
    class Crashing(LinearNetwork):
        def forward(self, sites):  # type: ignore[no-untyped-def]
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    results = run_checks(Crashing, checks={check: CHECKS[check]}, specs=TINY_SPECS)
    assert {r.status for r in results} == {"failed"}
    assert results[0].message == "RuntimeError: mat1 and mat2 shapes cannot be multiplied"
    assert isinstance(results[0].error, RuntimeError)
