"""The field `sha256` of a record: are the files beside it the ones it was made with?.

Imports nothing that is slow to import: `arbench show` asks it, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from arbench.files.atomic import sha256_of

PARTS = ("config", "weights", "per_event")
PER_EVENT = "per_event.safetensors"
PER_EVENT_UNTIL_2 = "log_probs.safetensors"  # in runs with a record of format 1 or 2


def per_event_name(folder: Path) -> str:
    """The file with the values of every event in a run folder, also in one that has none yet."""
    is_old = not (folder / PER_EVENT).exists() and (folder / PER_EVENT_UNTIL_2).exists()
    return PER_EVENT_UNTIL_2 if is_old else PER_EVENT


def next_per_event(folder: Path) -> Path:
    """Where new values are written before the record names them."""
    return folder / f"next.{PER_EVENT}"


def settle_per_event(folder: Path, expected: str | None, *, clear: bool = False) -> bool:
    """Put values that the record names already in their place, should a kill have left them.

    Args:
        folder: of a run.
        expected: the sha256 that the record names.
        clear: whether values that it does not name are removed; only for whoever holds the folder.

    Returns:
        Whether there were such values.
    """
    new = next_per_event(folder)
    try:
        is_named = sha256_of(new) == expected
    except OSError:  # none, or somebody else has just put it in its place
        return False
    if is_named:
        new.replace(folder / PER_EVENT)
        (folder / PER_EVENT_UNTIL_2).unlink(missing_ok=True)
    elif clear:
        new.unlink(missing_ok=True)
    return is_named


def bound_files(folder: Path) -> dict[str, Path]:
    """The files of a run that its record names by their hashes, by the names of these."""
    return {
        "config": folder / "config.json",
        "weights": folder / "model.safetensors",
        "per_event": folder / per_event_name(folder),
    }


def binding_fault(
    folder: Path, hashes: Mapping[str, str | None], parts: Iterable[str] = PARTS
) -> str | None:
    """Why the files in a run folder are not those of its record; None if they are.

    Args:
        folder: of the run.
        hashes: what the record names; nothing is said of a file that it names no hash of.
        parts: which of `PARTS` to look at.
    """
    files = bound_files(folder)
    for part in parts:
        file, expected = files[part], hashes.get(part)
        if expected is None:
            continue
        try:
            found = sha256_of(file)
        except OSError:
            return f"{file}: the run's record names this file, and it is not there; put it back"
        if found != expected and not (part == "per_event" and settle_per_event(folder, expected)):
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
