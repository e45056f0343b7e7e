"""GPT, a decoder-only transformer."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="gpt",
        network="arbench_gpt.network:GPT",
        summary="decoder-only transformer; any order, samples with a key-value cache",
        paper="Radford et al., 2018 and 2019; Chen et al., ICML 2020 (ImageGPT)",
        recipes="arbench_gpt",
    )
]
