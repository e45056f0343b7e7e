"""JSON documents with a schema: configurations and records, read with suspicion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, ValidationError

from arbench.errors import ArbenchError
from arbench.experiment.recipes import describe_validation
from arbench.registry.entries import NAME_PATTERN

Document = TypeVar("Document", bound=BaseModel)
# Of a task, a model or a head; it may become part of a path.
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
# Free text that people are shown: a control character could do anything to a terminal.
Line = Annotated[str, Field(pattern=r"^\P{Cc}*$")]


def read_document(
    path: Path, schema: type[Document], newest: int, error_class: type[ArbenchError], missing: str
) -> Document:
    """The document in a file, checked against its schema.

    Args:
        path: the file.
        schema: what it must satisfy; it has a `schema_version`.
        newest: the newest version that this arbench reads.
        error_class: what to raise.
        missing: what it means when there is no such file.

    Raises:
        ArbenchError: of that class, if the file is missing, no JSON, newer, or breaks the schema.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise error_class(f"{path}: {missing}") from error
    except (ValueError, OSError, RecursionError) as error:
        raise error_class(f"{path}: not readable as JSON: {error}") from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > newest:
        raise error_class(
            f"{path}: format {version} is newer than this arbench reads ({newest}); upgrade arbench"
        )
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        raise error_class(f"{path}: {describe_validation(error)}") from error
