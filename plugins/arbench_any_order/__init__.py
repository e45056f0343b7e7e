"""One network that was trained over all orders: deep NADE."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="any-order",
        network="arbench_any_order.network:AnyOrder",
        summary="deep NADE, trained over all orders; completes any set of known dims",
        paper="Uria, Murray and Larochelle, ICML 2014",
        recipes="arbench_any_order",
    )
]
