"""Records of older formats, read as the newest: one step from each version to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SINCE_2 = ("sha256", "checks")


def upgraded(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record in the newest format, whatever format they are of; not validated.

    Raises:
        ValueError: if they are of no one format.
    """
    if raw.get("schema_version") == 1:
        return _version_2(raw)
    return dict(raw)


def _version_2(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Version 1 named two hashes in two places, and bound nothing else.

    Those were the hash of the weights, `checkpoint`, and that of a foreign density's
    log-probabilities.
    """
    for name in _SINCE_2:
        if name in raw:
            raise ValueError(f"{name} is of format 2, and schema_version is 1")
    rest = {name: value for name, value in raw.items() if name != "checkpoint"}
    hashes: dict[str, Any] = {}
    checkpoint, foreign = raw.get("checkpoint", "missing"), raw.get("foreign")
    if checkpoint is not None:
        known = isinstance(checkpoint, dict) and [*checkpoint] == ["sha256"]
        hashes["weights"] = checkpoint["sha256"] if known else checkpoint
    if isinstance(foreign, dict):
        hashes["per_event"] = foreign.get("log_probs_sha256")
        rest["foreign"] = {k: v for k, v in foreign.items() if k != "log_probs_sha256"}
    if isinstance(nll := raw.get("nll"), dict):
        rest["nll"] = {name: _without_error_of_no_bits(split) for name, split in nll.items()}
    return {**rest, "schema_version": 2, "sha256": hashes}


def _without_error_of_no_bits(split: Any) -> Any:
    """A split's likelihood; version 1 gave an error of bits per dim to densities without bits."""
    if isinstance(split, dict) and split.get("bits_per_dim", 0) is None:
        return {**split, "standard_error_bits_per_dim": None}
    return split
