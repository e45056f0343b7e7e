"""Four tables of real numbers that papers of flows report on: power, gas, hepmass, miniboone."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(name=name, task=f"arbench_maf.sets:{target}", summary=f"{what}, real, {dims} dims")
    for name, target, what, dims in (
        ("power", "Power", "a household's use of electricity", 6),
        ("gas", "Gas", "readings of gas sensors", 8),
        ("hepmass", "Hepmass", "collisions of particles that make a new one", 21),
        ("miniboone", "MiniBooNE", "electron neutrinos and background", 43),
    )
]
