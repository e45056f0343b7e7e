"""A README fits the terminal that `arbench show TASK` prints it to."""

from __future__ import annotations

import pytest

from arbench.cli.markdown_text import fitted

README = """# Names

Given names, a letter after the other, of all the people in a register that was made for
the purpose of this test.
Each is in one split.

| split | names | what is known of them by those who made the register |
|---|---|---|
| train | 1,234 | *a name* that is long enough for two lines of a narrow terminal |

* An item that goes on
  in a second line, and in a third one where there is no room.
1. Another.

```sh
arbench run --task names --model lstm --a-line-of-code-that-is-longer-than-the-terminal-is
```
## The end"""


def test_paragraphs_and_tables_fit_and_code_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitted(README) == README
    for module in ("cli.markdown_text", "show.tables"):
        monkeypatch.setattr(f"arbench.{module}.terminal_width", lambda: 44)
    lines = fitted(README).splitlines()
    (code,) = [line for line in README.splitlines() if line.startswith("arbench run")]
    assert max(len(line) for line in lines if line != code) <= 44
    assert lines[:4] == [
        "# Names",
        "",
        "Given names, a letter after the other, of",
        "all the people in a register that was made",
    ]
    assert "for the purpose of this test. Each is in one" in lines
    assert any(line.split()[:2] == ["SPLIT", "NAMES"] for line in lines)
    begin = lines.index("* An item that goes on in a second line, and")
    assert lines[begin + 1 : begin + 3] == [
        "  in a third one where there is no room.",
        "1. Another.",
    ]
    assert lines[-4:] == ["```sh", code, "```", "## The end"]
    said = "\n".join(lines).lower().split()
    assert [
        word for word in README.lower().split() if set(word) - set("|-") and word not in said
    ] == []
