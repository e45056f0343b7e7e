"""Chow-Liu trees: every dim depends on one other, the best such density there is."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="chow-liu",
        network="arbench_chow_liu.network:ChowLiuTree",
        summary="the maximum-likelihood tree over all dims, fitted by counting pairs",
        paper="Chow and Liu, IEEE Transactions on Information Theory 1968",
        recipes="arbench_chow_liu",
    )
]
