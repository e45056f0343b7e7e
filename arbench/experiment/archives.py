"""Files out of a tar archive, read in memory: nothing is ever unpacked to a disk."""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from arbench.errors import DataError

_MAX_BYTES = 1 << 22  # a file that says more is not what a task of many small files looks for


def read_members(
    archive: Path, wanted: re.Pattern[str], max_bytes: int = _MAX_BYTES
) -> Iterator[tuple[str, bytes]]:
    """The wanted files of a tar archive, compressed or not, in the archive's order.

    Only regular files count: links, devices and whatever else an archive may hold are passed over,
    and since nothing is written, no name can lead anywhere.

    Args:
        archive: the file.
        wanted: matched against whole member names; its group "name" is what the file is called.
        max_bytes: the largest file to be expected.

    Yields:
        The name and the content.

    Raises:
        DataError: if the archive is damaged, or holds a name twice or a file that is too large.
    """
    seen = set()
    try:
        with tarfile.open(archive, "r|*") as tar:
            for member in tar:
                match = wanted.fullmatch(member.name)
                if match is None or not member.isreg():
                    continue
                name = match["name"]
                if name in seen or member.size > max_bytes:
                    problem = "twice" if name in seen else f"with {member.size:,} bytes"
                    raise DataError(f"{archive}: holds {name} {problem}, expected a file once")
                seen.add(name)
                file = tar.extractfile(member)
                assert file is not None  # it is a regular file
                yield name, file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{archive}: expected a tar archive ({error})") from error
