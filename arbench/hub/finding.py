"""What RUN may name: a folder, a zoo entry (`mnist/nade`) or `hf:org/name@revision`."""

from __future__ import annotations

from pathlib import Path

from arbench.errors import CheckpointError, ConfigError
from arbench.registry.names import did_you_mean
from arbench.runs.zoo import check_files, zoo_index

HUB_PREFIX = "hf:"


def find_run(name: str | Path) -> Path:
    """The folder of a run: one that exists, else a zoo entry's, else a repository's in the cache.

    Args:
        name: a run folder, "task/model", or "hf:org/name", with "@revision" for another than main.

    Returns:
        The folder; what was not on this machine has been downloaded and checked.

    Raises:
        ConfigError: if the name stands for nothing; says what comes close.
        CheckpointError: if a file is not what it must be.
        NetworkError: if it has to come from the Hub and does not.
    """
    text = str(name)
    if Path(name).exists():
        return Path(name)
    if text.startswith(HUB_PREFIX):
        from arbench.hub.snapshots import fetch_revision

        repo, _, revision = text.removeprefix(HUB_PREFIX).partition("@")
        return fetch_revision(repo, revision or "main")
    entry = zoo_index().get(text)
    if entry is None:
        raise ConfigError(
            f"{text!r} is no run folder and no zoo entry (`arbench list zoo` shows those)"
            f"{did_you_mean(text, zoo_index())}"
        )
    if entry.bundled is not None:
        check_files(entry.bundled, entry.files)
        return entry.bundled
    if entry.repo is None or entry.commit is None:
        raise CheckpointError(
            f"{text}: is in the index, but neither in the package nor on the Hub; install arbench "
            "again"
        )
    from arbench.hub.snapshots import fetch_commit

    return fetch_commit(entry.repo, entry.commit, entry.files)
