"""Memory that a step frees is there for the next one, and is given back at the end."""

from __future__ import annotations

import ctypes
import json
import platform
import subprocess
import sys

import pytest

from arbench.measure.allocator import kept_for_reuse

CODE = """
import json, resource, torch
from pathlib import Path
from arbench.measure.allocator import kept_for_reuse

def faults(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        kept = [torch.zeros(1 << 20) for _ in range(16)]
        del kept
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / steps

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

torch.set_num_threads(1)
plain = faults(20)
with kept_for_reuse():
    faults(2)
    kept = faults(20)
    inside = resident()
print(json.dumps({"plain": plain, "kept": kept, "given_back": inside - resident()}))
"""


def test_a_step_finds_the_memory_that_the_last_one_freed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=True
    )
    found = json.loads(done.stdout)
    size = 16 * (4 << 20)
    assert found["plain"] > 10 * max(1, found["kept"])
    assert found["kept"] < size / 4096 / 100
    assert found["given_back"] > 0.9 * size


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.delattr(ctypes, "CDLL")
    with kept_for_reuse():
        pass
