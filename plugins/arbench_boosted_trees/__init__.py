"""Boosted trees: each dim given all before it, without a network and without gradients of one."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="boosted-trees",
        network="arbench_boosted_trees.network:BoostedTrees",
        summary="gradient-boosted trees for each binary dim given all before it",
        paper="Friedman, The Annals of Statistics 2001",
        recipes="arbench_boosted_trees",
    )
]
