"""`python -m arbench`."""

from __future__ import annotations

import sys

from arbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
