"""GPT, a decoder-only transformer."""

from __future__ import annotations

from collections.abc import Sequence

from arbench import ModelEntry, hookimpl


@hookimpl
def arbench_register_models() -> Sequence[ModelEntry]:
    """The one model of this plugin."""
    return [
        ModelEntry(
            name="gpt",
            network="arbench_gpt.network:GPT",
            summary="decoder-only transformer; any order, samples with a key-value cache",
            paper="Radford et al., 2018 and 2019; Chen et al., ICML 2020 (ImageGPT)",
            recipes="arbench_gpt",
        )
    ]
