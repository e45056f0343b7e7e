"""The HTTP library of the installed `huggingface_hub`, so that its errors are the ones caught here.

Version 2 uses httpx2, and version 1 httpx. What arbench needs of them has the same names in both.
The version is read without an import of `huggingface_hub`, which a download of a data set can do
without.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING

__all__ = ["httpx"]

if TYPE_CHECKING:
    import httpx2 as httpx
else:
    _old = int(version("huggingface_hub").partition(".")[0]) < 2
    httpx = importlib.import_module("httpx" if _old else "httpx2")
