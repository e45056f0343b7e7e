"""Converts records of version 1 and 2 to version 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SINCE_2 = ("sha256", "checks")
_UNTIL_2 = ("nll", "sampling", "truth", "evaluation")


def upgraded(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record in the newest format, whatever format they are of; not validated.

    Raises:
        ValueError: if they are of no one format.
    """
    if raw.get("schema_version") == 1:
        raw = _version_2(raw)
    if raw.get("schema_version") == 2:
        raw = _version_3(raw)
    return dict(raw)


def _version_2(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Version 1 named two hashes in two places, and bound nothing else.

    Those were the hash of the weights, `checkpoint`, and that of a foreign density's
    log-probabilities.
    """
    for name in _SINCE_2:
        if name in raw:
            raise ValueError(f"{name} belongs to format 2, but schema_version is 1")
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


def _version_3(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Version 2 had a field for each of the three measurements that there were."""
    if "measurements" in raw:
        raise ValueError("measurements belongs to format 3, but schema_version is 2")
    rest = {name: value for name, value in raw.items() if name not in _UNTIL_2}
    for name in ("nll", "sampling"):
        if name not in raw:
            raise ValueError(f"{name} is missing")
    where: dict[str, Any] = {"version": "1", "settings": {}, "environment": raw.get("environment")}
    found: dict[str, Any] = {}
    if nll := raw["nll"]:
        if not isinstance(nll, dict) or not nll.keys() <= {"validation", "test"}:
            raise ValueError("nll may hold only validation and test")
        found["likelihood"] = {**where, "windows": raw.get("evaluation"), **nll}
    if sampling := raw["sampling"]:
        found["speed"] = {**where, "rows": sampling}
    if (truth := raw.get("truth")) is not None:
        if not isinstance(truth, dict) or truth.keys() & where.keys():
            raise ValueError("truth must hold three numbers and nothing else")
        found["truth"] = {**where, **truth}
    return {**rest, "schema_version": 3, "measurements": found}
