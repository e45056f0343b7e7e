"""One browser for all tests of the page."""

from __future__ import annotations

from browsing import browser, visit

__all__ = ["browser", "visit"]
