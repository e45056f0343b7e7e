"""Files out of a tar archive, read in memory: nothing is ever unpacked to a disk."""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from arbench.errors import DataError

_MAX_BYTES = 1 << 22  # of one recording; a file that says more is not what we are looking for


def read_members(archive: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    """The wanted files of a tar.gz, in the archive's order.

    Only regular files count: links, devices and whatever else an archive may hold are passed over,
    and since nothing is written, no name can lead anywhere.

    Args:
        archive: the file.
        wanted: matched against whole member names; its group "name" is what the file is called.

    Yields:
        The name and the content.

    Raises:
        DataError: if the archive is damaged, or holds a name twice or a file of more than 4 MiB.
    """
    seen = set()
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                match = wanted.fullmatch(member.name)
                if match is None or not member.isreg():
                    continue
                name = match["name"]
                if name in seen or member.size > _MAX_BYTES:
                    problem = "twice" if name in seen else f"with {member.size:,} bytes"
                    raise DataError(f"{archive}: holds {name} {problem}, expected a recording once")
                seen.add(name)
                file = tar.extractfile(member)
                assert file is not None  # it is a regular file
                yield name, file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{archive}: expected a tar.gz archive ({error})") from error
