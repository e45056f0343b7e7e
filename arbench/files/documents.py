"""Reads JSON against a pydantic schema; the field types of configurations and records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from arbench.errors import ArbenchError
from arbench.files.strict_json import read_json, require_plain
from arbench.registry.entries import NAME_PATTERN

Document = TypeVar("Document", bound=BaseModel)
# Of a task, a model or a head; it may become part of a path.
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
# Free text that people are shown, without what `arbench.files.plain_text.is_control` names.
_CONTROLS = r"\p{Cc}\p{Zl}\p{Zp}\x{61c}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}"
Line = Annotated[str, Field(pattern=f"^[^{_CONTROLS}]*$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1 << 53)]  # what a float64 tells apart
Natural = Annotated[int, Field(ge=0, le=1 << 53)]


# Settings by name, whatever they are.
Values = Annotated[dict[str, Any], AfterValidator(require_plain)]


class Part(BaseModel):
    """A part of a document: no key that is not known, and nothing is changed once it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_document(
    path: Path,
    schema: type[Document],
    newest: int,
    error_class: type[ArbenchError],
    missing: str,
    *,
    fault_of: Callable[[dict[str, Any]], str | None] = lambda raw: None,
) -> Document:
    """The document in a file, checked against its schema.

    Args:
        path: the file.
        schema: what it must satisfy; it has a `schema_version`.
        newest: the newest version that this arbench reads.
        error_class: what to raise.
        missing: what it means when there is no such file.
        fault_of: why what was read, as it stands there, is not to be believed; None if it may be.

    Raises:
        ArbenchError: of that class, if the file is missing, no JSON, newer, or breaks the schema.
    """
    raw = read_json(path, error_class, missing)
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > newest:
        raise error_class(
            f"{path}: format {version} is newer than this arbench reads ({newest}); upgrade arbench"
        )
    try:
        document = schema.model_validate(raw)
    except ValidationError as error:
        raise error_class(f"{path}: {describe_validation(error)}") from error
    # Last, because what is wrong with a value says more than that something was changed.
    if fault := fault_of(raw):
        raise error_class(f"{path}: {fault}")
    return document


def describe_validation(error: ValidationError) -> str:
    """A pydantic error as one sentence: where, what was found if it is short, what was expected."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "value"
    if first["type"] == "extra_forbidden":
        return f"there is no setting called {where!r}"
    if first["type"] == "missing":
        return f"{where} is missing"
    found = first.get("input")
    # What holds other values may hold a million of them.
    shown = "" if isinstance(found, (dict, list)) else f" = {found!r}"
    expected = (
        first["msg"].removeprefix("Value error, ").replace("valid array", "valid list")
    )  # JSON's word for Python's
    return f"{where}{shown}: {expected}"
