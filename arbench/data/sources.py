"""Source files: finds, downloads and checks them; `ARBENCH_DATA` and the cache."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from arbench.errors import ArbenchError, DataError, NetworkError
from arbench.files.atomic import atomic_path, sha256_of, write_text
from arbench.files.http_client import download

DATA_VARIABLE = "ARBENCH_DATA"
CACHE_VARIABLE = "ARBENCH_CACHE"
_ARCHIVES = {".gz", ".tar", ".tgz", ".zip"}


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file of a data set, as its author published it.

    Attributes:
        path: where it lies under `$ARBENCH_DATA` and under the cache, such as "uci/dna.npz".
        urls: where to download it, the canonical address first, then mirrors.
        sha256: of the file; None when nobody has published it. The hash of the first download is
            then recorded beside the file in the cache, and checked from then on.
        size: in bytes; None when unknown.
        dataset: the class of `torchvision.datasets` that downloads and unpacks it, such as "MNIST",
            with that class's mirrors and checksums; `urls` are then empty. `path` is where the
            class leaves it under its root.
    """

    path: str
    urls: tuple[str, ...]
    sha256: str | None
    size: int | None = None
    dataset: str | None = None


def data_dir() -> Path | None:
    """The user's folder of data files, `$ARBENCH_DATA`, or None.

    Raises:
        DataError: if the variable names something that is not a folder.
    """
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise DataError(f"{DATA_VARIABLE}={value} is not a folder: correct it or unset it")
    return folder


def cache_dir() -> Path:
    """The folder for downloads, `$ARBENCH_CACHE` or the platform's cache; it may not exist yet."""
    value = os.environ.get(CACHE_VARIABLE)
    return Path(value).expanduser() if value else Path(platformdirs.user_cache_dir("arbench"))


def fetch(source: SourceFile) -> Path:
    """The path of the checked file: in `$ARBENCH_DATA`, in the cache, or downloaded to it.

    A file that fails the check is never replaced: the user may have no other copy.

    Raises:
        NotHereError: within `offline`, if it is nowhere.
        DataError: if the file found is not the one described, if every address that answered sent
            something else, or if the cache cannot be written.
        NetworkError: if no address answers.
    """
    for folder in (data_dir(), cache_dir()):
        if folder is not None and (path := folder / source.path).is_file():
            check_source(path, source)
            return path
    from arbench.data.offline import NotHereError, may_download  # the usual file is here

    if not may_download():
        raise NotHereError(f"{source.path} is not on this machine: {_offline_choices(source.path)}")
    return _download(source) if source.dataset is None else _unpack(source, source.dataset)


def locate(source: SourceFile) -> Path | None:
    """As `fetch`, without a download: None if the file is not on this machine.

    Raises:
        DataError: if the file is there but is not the one described.
    """
    from arbench.data.offline import NotHereError, offline  # no run asks

    try:
        with offline():
            return fetch(source)
    except NotHereError:
        return None


def check_source(path: Path, source: SourceFile) -> None:
    """Check a file against its description.

    Raises:
        DataError: if it is not the file described; names it, the hash expected and the hash found.
    """
    try:
        problem = _mismatch(path, source)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if problem is not None:
        raise DataError(f"{path}: {problem}; move it away or put the right file there")


def _mismatch(path: Path, source: SourceFile) -> str | None:
    """What is wrong with the file at `path`, or None."""
    expected = source.sha256
    if expected is None and _recorded_hash(source).is_file():
        expected = _recorded_hash(source).read_text().strip()
    size = path.stat().st_size
    sizes = "" if source.size in (None, size) else f"{size} bytes, expected {source.size}"
    if expected is not None and (found := sha256_of(path)) != expected:
        return f"sha256 {found}, expected {expected}" + (f" ({sizes})" if sizes else "")
    return sizes or None


def _recorded_hash(source: SourceFile) -> Path:
    """Where the sha256 of the first download of an unpinned file is kept."""
    return cache_dir() / f"{source.path}.sha256"


def _download(source: SourceFile) -> Path:
    path = cache_dir() / source.path
    problems: list[str] = []
    failure: type[ArbenchError] = NetworkError
    with writing_cache(path.parent), atomic_path(path) as temporary:
        for url in source.urls:
            try:
                download(url, temporary)
            except NetworkError as error:
                problems.append(f"{url} ({error})")
                continue
            problem = _mismatch(temporary, source)
            if problem is None:
                break
            problems.append(f"{url} ({problem})")
            failure = DataError  # somebody answered, with something else
        else:
            reasons = "; ".join(problems) or "no address is known"
            raise failure(f"no {source.path} from {reasons}: {_offline_choices(source.path)}")
        if source.sha256 is None:
            write_text(_recorded_hash(source), sha256_of(temporary) + "\n")
    return path


def _unpack(source: SourceFile, dataset: str) -> Path:
    """The file in the cache, after torchvision has downloaded and unpacked its data set.

    That happens in a temporary folder, so that a broken download leaves nothing behind. The other
    files of the data set move into the cache too; each is checked when it is fetched.
    """
    from arbench.data import vision  # torchvision is slow, and most tasks do without

    cache = cache_dir()
    with writing_cache(cache), tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as root:
        try:
            vision.download(dataset, Path(root))
        except NetworkError as error:
            raise NetworkError(
                f"torchvision could not download {source.path} from {error}: "
                f"{_offline_choices(source.path)}"
            ) from None
        check_source(Path(root, source.path), source)
        for file in Path(root).rglob("*"):
            target = cache / file.relative_to(root)
            if file.is_file() and file.suffix not in _ARCHIVES and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
    return cache / source.path


@contextmanager
def writing_cache(folder: Path) -> Iterator[None]:
    """Make a folder in the cache and let the caller write there.

    Raises:
        DataError: if that fails; one line that names the variable to set.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(
            f"cannot write to {folder} ({error.strerror}): set {CACHE_VARIABLE} to a folder that "
            f"can be written, or {DATA_VARIABLE} to one that holds the data"
        ) from error


def _offline_choices(path: str) -> str:
    """What a user without a network can do, for the end of an error message."""
    return (
        f"put {path} into a folder and set {DATA_VARIABLE} to that folder, or use the task "
        "mnist-mini, which needs no download"
    )
