"""The only file that imports torchvision: its data set classes."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from urllib.error import URLError

import torch

from arbench.errors import NetworkError
from arbench.files import http_client

_MISSING_OPERATOR = "operator torchvision::nms does not exist"
_NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@functools.cache
def load_torchvision() -> ModuleType:
    """The module torchvision, also where its compiled operators do not load.

    The usual wheel is built against a CUDA torch. Beside a CPU torch its operators are missing, and
    the import fails while it describes `nms` to torch. Data sets need no operator, so the schemas
    of the missing ones are declared, without an implementation, and the import is tried again.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if str(error) != _MISSING_OPERATOR:
            raise
    for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = _operators()
    for name in ("nms", "qnms"):
        library.define(name + _NMS_SCHEMA)  # type: ignore[no-untyped-call]
    return importlib.import_module("torchvision")


@functools.cache
def _operators() -> torch.library.Library:
    """The library that declares them; the cache keeps it alive, and the schemas go with it."""
    return torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]


def download(dataset: str, root: Path) -> None:
    """Download a data set and unpack it.

    Args:
        dataset: the name of a class of `torchvision.datasets`, such as "MNIST".
        root: the folder that the class puts it in.

    Raises:
        NetworkError: with what went wrong, by address, if torchvision cannot get it.
    """
    dataset_class = getattr(load_torchvision().datasets, dataset)
    with _own_client() as problems:
        try:
            dataset_class(str(root), download=True)
        except (RuntimeError, URLError) as error:
            raise NetworkError("; ".join(problems) or str(error)) from None


@contextmanager
def _own_client() -> Iterator[list[str]]:
    """Within, torchvision's data sets get their files through arbench's client.

    torchvision's own waits for ever, and asks again without encryption where encryption failed.

    Yields:
        What went wrong so far, by address.
    """
    library = load_torchvision().datasets.utils
    problems: list[str] = []

    def download_url(
        url: str, root: str, filename: str | None = None, md5: str | None = None, **_: object
    ) -> None:
        path = Path(root).expanduser() / (filename or url.rpartition("/")[2])
        path.parent.mkdir(parents=True, exist_ok=True)
        if library.check_integrity(path, md5):
            return
        try:
            http_client.download(url, path)
        except NetworkError as error:
            problems.append(f"{url} ({error})")
            raise URLError(str(error)) from error  # which makes it try the next mirror
        if not library.check_integrity(path, md5):
            problems.append(f"{url} (its MD5 is not {md5})")
            raise RuntimeError("File not found or corrupted.")

    theirs, library.download_url = library.download_url, download_url
    try:
        yield problems
    finally:
        library.download_url = theirs
