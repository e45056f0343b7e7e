"""Reads files of the user's own as events, and writes events as files.

Nothing is changed on the way: what a model's events cannot say exactly is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arbench import (
    IMAGE_EXTENSIONS,
    ConfigError,
    Discrete,
    EventSpec,
    ImageRendering,
    OpenedRun,
    OwnFiles,
    TextRendering,
    atomic_path,
)
from arbench_compression.content import Content, Ends, Plan


def read_files(files: Sequence[Path], run: OpenedRun, batch_size: int) -> Content:
    """What files hold, as events of a run.

    Args:
        files: a text, an npz archive with the key "events", or images of the events' own size.
        run: whose model is to compress them.
        batch_size: how many events are coded side by side.

    Raises:
        DataError: if they hold something else.
    """
    rendering = run.rendering
    own = OwnFiles(run.density.spec, rendering)
    is_archive = files[0].suffix.lower() == ".npz"
    if len(files) > 1 and (is_archive or isinstance(rendering, TextRendering)):
        raise ConfigError("more than one file: only images come as several, one event each")
    if is_archive and run.windows is None:
        events = own.archive(files[0])
        return Content(Plan(len(events), batch_size), events)
    if isinstance(rendering, TextRendering):
        if (end := rendering.end) is not None:
            words = own.words(files[0])
            return Content(Plan(len(words), batch_size, ends=Ends(end, end)), words)
        symbols = own.text(files[0])
        return Content(Plan(len(symbols), 1, run.windows), symbols)
    for file in files:
        if file.is_dir():
            raise ConfigError(f"{file}: is a folder; name its images, such as {file / '*.png'}")
        if not isinstance(rendering, ImageRendering) or file.suffix.lower() not in IMAGE_EXTENSIONS:
            images = ", or images" if isinstance(rendering, ImageRendering) else ""
            raise ConfigError(
                f"{file}: give an npz archive with the events under the key 'events'{images}"
            )
    events = torch.stack([own.image(file) for file in files])
    return Content(Plan(len(events), batch_size), events)


def default_out(source: Path, run: OpenedRun) -> Path:
    """Where the events of a compressed file go if nobody says where."""
    return source.with_suffix(".txt" if isinstance(run.rendering, TextRendering) else ".npz")


def require_readable_place(out: Path, run: OpenedRun) -> None:
    """Refuse a place where the events of a run cannot be written; see `require_place`.

    Raises:
        ConfigError: with what is in the way.
    """
    require_place(out, is_file=_is_one_file(out, run))
    if not _is_one_file(out, run):
        spec = run.density.spec
        size = spec.domain.size if isinstance(spec.domain, Discrete) else 0
        if len(spec.shape) != 3 or spec.shape[0] not in (1, 3) or size not in (2, 256):
            raise ConfigError(f"{out}: these events are no pictures; write them to a .npz file")
        if out.suffix:
            raise ConfigError(f"{out}: images go into a new folder, all events into a .npz file")


def _is_one_file(out: Path, run: OpenedRun) -> bool:
    """Whether events go into one file; else they are images and go into a folder."""
    return isinstance(run.rendering, TextRendering) or out.suffix.lower() == ".npz"


def require_place(out: Path, *, is_file: bool = True) -> None:
    """Refuse a place where nothing can be written, before the work and not after it.

    Args:
        out: the place.
        is_file: whether a file is to be there, which may replace another; else a new folder.

    Raises:
        ConfigError: with what is in the way.
    """
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"{out}: there is no folder {out.parent}")
    if is_file and out.is_dir():
        raise ConfigError(f"{out}: is a folder, and a file is to be written; give it a name")
    if not is_file and out.exists():
        raise ConfigError(
            f"{out}: exists already, and images go into a new folder; or name a .npz file"
        )


def write_file(content: Content, run: OpenedRun, out: Path) -> None:
    """Write events: texts as text, all others as an npz archive or, images, into a new folder.

    Raises:
        ConfigError: if the folder is there already.
    """
    rendering = run.rendering
    if isinstance(rendering, TextRendering):
        with atomic_path(out) as temporary:
            temporary.write_bytes(_text(content, rendering))
    elif _is_one_file(out, run):
        with atomic_path(out) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, events=content.items.numpy())
    else:
        _write_images(content.items, run.density.spec, out)


def _text(content: Content, rendering: TextRendering) -> bytes:
    """A stream as the bytes that it was read from; words a line each."""
    if rendering.end is not None:
        return "".join(f"{rendering.decode(word)}\n" for word in content.items).encode()
    if rendering.symbols is None:
        return bytes(content.items.tolist())
    return rendering.decode(content.items).encode()


def _write_images(events: Tensor, spec: EventSpec, folder: Path) -> None:
    """A PNG for each event, `00000.png` and so on."""
    from PIL import Image

    assert isinstance(spec.domain, Discrete)  # `require_readable_place` has said so before the work
    try:
        folder.mkdir()
    except OSError as error:
        raise ConfigError(
            f"{folder}: a new folder for the images cannot be made ({error.strerror}); or name a "
            ".npz file"
        ) from error
    levels = (events.long() * (255 // (spec.domain.size - 1))).byte().permute(0, 2, 3, 1).numpy()
    for number, image in enumerate(levels):
        shown = image[..., 0] if image.shape[-1] == 1 else image
        Image.fromarray(np.ascontiguousarray(shown)).save(folder / f"{number:05}.png")
