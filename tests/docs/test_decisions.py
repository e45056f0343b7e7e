"""Decisions: each has a number of its own, says it in its title, and is on the list."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"


def test_decisions_are_numbered_without_a_gap_and_listed_by_their_titles() -> None:
    files = sorted(FOLDER.glob("0*.md"))
    assert [int(file.name[:4]) for file in files] == [*range(1, len(files) + 1)]
    titles = [file.read_text().partition("\n")[0].removeprefix("# ") for file in files]
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((.+)\)$", (FOLDER / "README.md").read_text(), re.M)
    assert [(f"{number}. {title}", name) for number, title, name in listed] == [
        (title, file.name) for title, file in zip(titles, files, strict=True)
    ]
