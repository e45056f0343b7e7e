"""Canonical JSON, its sha256, and the seal that detects an edited record.

The form is UTF-8 without a byte order mark; keys in the order of their code points; no space
between tokens; numbers as Python writes them, the shortest decimal that reads back as the same
float64; no character escaped that JSON lets stand; never NaN or an infinity. It is what a record's
own hash is over, and every other hash of values that may be written in more than one way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> bytes:
    """A value of JSON as bytes: equal values give equal bytes, in whatever order they were built.

    Raises:
        ValueError: for NaN, an infinity, or text that is not Unicode.
    """
    # First as JSON has it: it knows neither tuples nor keys that are no text.
    plain = json.loads(json.dumps(value, allow_nan=False))
    text = json.dumps(
        plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def canonical_sha256(value: Any) -> str:
    """The sha256 of a value's canonical JSON, in hexadecimal.

    Raises:
        ValueError: see `canonical_json`.
    """
    return hashlib.sha256(canonical_json(value)).hexdigest()


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document with its own hash in `["sha256"]["record"]`, whatever it had before.

    The hash is of the document without that field.

    Raises:
        ValueError: see `canonical_json`.
    """
    hashes = document.get("sha256")
    hashes = {k: v for k, v in hashes.items() if k != "record"} if isinstance(hashes, dict) else {}
    own = canonical_sha256({**document, "sha256": hashes})
    return {**document, "sha256": {**hashes, "record": own}}


def seal_fault(document: Mapping[str, Any]) -> str | None:
    """Why a document as it was read is not the one that its own hash is of; None if it is.

    A record of format 1 has no such hash: nothing can be said of it.
    """
    if document.get("schema_version") == 1 and "sha256" not in document:
        return None
    hashes = document.get("sha256")
    named = hashes.get("record") if isinstance(hashes, dict) else None
    try:
        found = sealed(document)["sha256"]["record"]
    except ValueError as error:
        return f"it has no canonical form ({error}), so it was not written by arbench"
    if named == found:
        return None
    said = "names no hash of itself" if named is None else "does not fit the sha256 that it carries"
    return f"it {said}, so it was edited or damaged; put back the file that the run wrote"
