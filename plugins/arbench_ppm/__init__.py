"""Prediction by partial matching, the model behind PPMd, trained once and then fixed."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="ppm",
        network="arbench_ppm.network:PPM",
        summary="PPM-D: the longest known context, with escapes to shorter ones, by counting",
        paper="Cleary and Witten, 1984; Howard, 1993",
        recipes="arbench_ppm",
    )
]
