"""Compresses and decompresses a file with a density; `why_not` says which densities cannot."""

from __future__ import annotations

from pathlib import Path

from arbench import (
    ConfigError,
    DataError,
    Density,
    DimByDim,
    Head,
    Mixed,
    Model,
    ReferencePath,
    Windows,
)
from arbench_compression import coder, file
from arbench_compression.coder import Coded, Progress
from arbench_compression.content import Content
from arbench_compression.file import Header, Identity, Sizes

BATCH_SIZE = 256
_GENERAL = Head.next_log_probs


def why_not(density: Density, windows: Windows | None) -> str | None:
    """Why a density cannot write files, in a sentence; None if it can.

    Args:
        density: the model.
        windows: through which it sees a stream; None for events.
    """
    if density.kind == "density":
        return "a density over real numbers gives no value a probability, and a file has whole bits"
    if density.kind == "bound":
        return "a bound says how long a file would be at most, and not which bits stand in it"
    if isinstance(density.spec.domain, Mixed):
        return f"a file has one alphabet for all dims, and these are {density.spec.domain}"
    if not isinstance(density, DimByDim):
        return (
            "it has no probabilities of one dim after the other to code with, such as an ensemble "
            "of several orders, whose members' joint probabilities are averaged, or a foreign "
            "density"
        )
    if not isinstance(density, Model):
        return None
    if windows is not None and not density.layout.is_raster:
        return "its windows overlap, and in another order than theirs no window begins with them"
    head = type(density.head)
    if density.layout.site_dim > 1 and head.next_log_probs is _GENERAL:
        return f"the {density.head.name} head draws all dims of a site at once"
    return None


def path_of(density: Density, windows: Windows | None) -> ReferencePath:
    """Where the odds come from.

    Raises:
        ConfigError: if there are none.
    """
    if reason := why_not(density, windows):
        raise ConfigError(f"this model cannot compress: {reason}")
    assert isinstance(density, DimByDim)
    return density.reference_path()


def compress(
    path: ReferencePath,
    content: Content,
    identity: Identity,
    out: Path,
    progress: Progress | None = None,
) -> tuple[Coded, Sizes]:
    """Code events and write them into a file.

    Raises:
        DataError: if one of them cannot be coded.
    """
    coded = coder.write(path, content, progress)
    return coded, file.save(out, identity, content, coded, path.layout.spec.num_dims)


def decompress(
    path: ReferencePath, own: Identity, source: Path, progress: Progress | None = None
) -> tuple[Header, Content]:
    """The events in a file.

    Args:
        path: of the model that wrote it.
        own: which model that is.
        source: the file.
        progress: told how much is done.

    Raises:
        DataError: if the file is damaged, or holds something else than was written.
        CheckpointError: if another model wrote it.
    """
    file.require_model(file.identity_of(source), own, source)
    header, stack, choices = file.load(source, path.layout.spec.num_dims)
    try:
        content = coder.read(path, header.plan, stack, choices, progress)
    except DataError as error:
        raise DataError(f"{source}: damaged: {error}") from error
    if content.sha256 != header.content:
        raise DataError(
            f"{source}: what was decoded is not what was written, so nothing is kept: the file was "
            "forged, or this machine computes otherwise than the one that wrote it"
        )
    return header, content
