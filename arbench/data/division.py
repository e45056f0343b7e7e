"""How a user's own data were split into train, validation and test: rule, version, seed."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from arbench.files.documents import Part

DivisionRule = Literal["rows", "files"]
"""What equal rows are when data are divided: repeats, or one work; see `Division`."""

DIVISION_RULES: tuple[DivisionRule, ...] = get_args(DivisionRule)
"""The names of all rules."""


class Division(Part):
    """How a user's data were divided into splits: enough to divide them so again.

    Attributes:
        rule: "rows" takes repeats for data, as draws have them; "files" takes what is equal for one
            work, which has to be in one split.
        version: of the rule.
        seed: keys every draw.
    """

    rule: DivisionRule
    version: Literal[1] = 1
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0

    def __str__(self) -> str:
        """In a few words, for people."""
        return f"by {self.rule} (rule version {self.version}, seed {self.seed})"
