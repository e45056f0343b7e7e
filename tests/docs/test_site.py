"""The site that is made of the pages: complete, strict, and asking nobody else for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What a browser fetches by itself when it opens a page, and what a style sheet does.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*?\bsrc=["']?([^"'\s>]+)"""
    r"""|<link\b(?![^>]*\brel=["']?(?:canonical|prev|next))[^>]*?\bhref=["']?([^"'\s>]+)"""
    r"""|@import\s+["']?([^"'\s;]+)|\burl\(["']?([^"')]+)""",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does it."""
    pytest.importorskip("mkdocs", reason="install the extra `docs`")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    pages = {page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")}
    built = {str(page.relative_to(site)) for page in site.rglob("*.html")}
    names = {"index" if page.stem == "README" else page.stem: page for page in pages}
    assert {str(page.with_name(f"{name}.html")) for name, page in names.items()} <= built


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    files = [file for ending in ("html", "css") for file in site.rglob(f"*.{ending}")]
    fetched = {
        address
        for file in files
        for groups in FETCHED.findall(file.read_text())
        for address in filter(None, groups)
    }
    assert any(address.endswith(".css") for address in fetched)
    assert [a for a in fetched if re.match(r"(https?:)?//", a)] == []


def test_formulas_are_drawn_by_the_browser(site: Path) -> None:
    page = (site / "bits-per-dim.html").read_text()
    formulas = re.findall(r"<math\b.*?</math>", page, re.DOTALL)
    assert any('display="block"' in formula for formula in formulas)
    assert "arithmatex" not in page
    assert "$" not in re.sub(r"<(script|code)\b.*?</\1>", "", page, flags=re.DOTALL)


def test_the_reference_has_signatures_and_what_they_raise(site: Path) -> None:
    page = (site / "reference.html").read_text()
    for name in ("arbench.run", "arbench.Layout", "arbench.ModelEntry"):
        assert f'id="{name}"' in page
    assert "Raises" in page
