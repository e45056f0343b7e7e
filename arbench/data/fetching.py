"""Finds a source file on this machine or downloads it, and checks its sha256."""

from __future__ import annotations

from pathlib import Path

from arbench.data.sources import (
    NotHereError,
    SourceFile,
    cache_dir,
    locate,
    may_download,
    mismatch,
    offline_choices,
    recorded_hash,
    writing_cache,
)
from arbench.errors import ArbenchError, DataError, NetworkError
from arbench.files.atomic import atomic_path, sha256_of, write_text
from arbench.files.http_client import download


def fetch(source: SourceFile) -> Path:
    """The path of the file on this machine; downloads it if it is not here.

    Raises:
        NotHereError: within `offline`, if it is nowhere.
        DataError: if the file found is not the one described, if every address that answered sent
            something else, or if the cache cannot be written.
        NetworkError: if no address answers.
    """
    path = locate(source)
    if path is not None:
        return path
    if not may_download():
        raise NotHereError(f"{source.path} is not on this machine: {offline_choices(source.path)}")
    if source.dataset is not None:
        from arbench.data import vision  # torchvision is slow, and most tasks do without

        return vision.download(source.dataset, source)
    return _download(source)


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
            problem = mismatch(temporary, source)
            if problem is None:
                break
            problems.append(f"{url} ({problem})")
            failure = DataError  # somebody answered, with something else
        else:
            reasons = "; ".join(problems) or "no address is known"
            raise failure(f"no {source.path} from {reasons}: {offline_choices(source.path)}")
        if source.sha256 is None:
            write_text(recorded_hash(source), sha256_of(temporary) + "\n")
    return path
