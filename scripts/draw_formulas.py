"""A hook of mkdocs: formulas become MathML, which browsers draw themselves, without a script."""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert

# What `pymdownx.arithmatex` leaves: \( ... \) in a span, \[ ... \] in a div.
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(text: str, **_: object) -> str:
    """The page with every formula as MathML."""
    return _FORMULA.sub(_mathml, text)


def _mathml(found: re.Match[str]) -> str:
    display = "block" if found[1] == "div" else "inline"
    return convert(html.unescape(found[2]).strip(), display=display)
