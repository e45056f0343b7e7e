"""Reads members of tar and zip archives in memory, without unpacking to disk."""

from __future__ import annotations

import re
import tarfile
import zipfile
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


def read_zip_member(archive: Path, name: str, max_bytes: int) -> bytes:
    """The content of the one member of a zip archive that has exactly this name.

    Args:
        archive: the file.
        name: of the member, with its folders.
        max_bytes: the largest member to be expected.

    Raises:
        DataError: if the archive is damaged, has no such member, or a larger one.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            if name not in file.namelist():
                found = ", ".join(file.namelist()[:5]) or "nothing"
                raise DataError(f"{archive}: expected the member {name}, found {found}")
            with file.open(name) as member:
                content = member.read(max_bytes + 1)  # whatever its header says
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        # RuntimeError is for encryption and for features of zip that Python lacks.
        raise DataError(f"{archive}: expected a zip archive ({error})") from error
    if len(content) > max_bytes:
        raise DataError(f"{archive}: {name} has more than the {max_bytes:,} bytes expected")
    return content
