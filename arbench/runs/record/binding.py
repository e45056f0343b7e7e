"""What binds a run: the sha256 that its record has of the files beside it.

Imports nothing that is slow to import: `arbench show` asks it, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from arbench.files.atomic import sha256_of

FILES = {
    "config": "config.json",
    "weights": "model.safetensors",
    "per_event": "log_probs.safetensors",
}


def binding_fault(
    folder: Path, hashes: Mapping[str, str | None], parts: Iterable[str] = FILES
) -> str | None:
    """Why the files in a run folder are not those of its record; None if they are.

    Args:
        folder: of the run.
        hashes: what the record names; nothing is said of a file that it names no hash of.
        parts: which of `FILES` to look at.
    """
    for part in parts:
        file, expected = folder / FILES[part], hashes.get(part)
        if expected is None:
            continue
        try:
            found = sha256_of(file)
        except OSError:
            return f"{file}: the run's record names this file, and it is not there; put it back"
        if found != expected:
            return (
                f"{file}: its sha256 is not the one in the run's record, so it was edited, or is "
                "damaged or of another run; put back the file that the run wrote"
            )
    return None


def unbound_note(folder: Path, is_bound: bool | None) -> str | None:
    """What to say of a run whose files nothing binds to each other; None where they are bound.

    Args:
        folder: of the run.
        is_bound: whether its record carries hashes; None if it has no record.
    """
    if is_bound is None:
        return f"{folder} is not bound: it has no record, so nothing ties its files to each other"
    return None if is_bound else f"{folder} is not bound: `arbench verify {folder}` binds it"
