"""FVSBN, the fully visible sigmoid belief network."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="fvsbn",
        network="arbench_fvsbn.network:FVSBN",
        summary="a logistic regression per site on all earlier sites: n(n+1)/2 parameters",
        paper="Frey, 1998; Gan, Henao, Carlson and Carin, AISTATS 2015",
        recipes="arbench_fvsbn",
    )
]
