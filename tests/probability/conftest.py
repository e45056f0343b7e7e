"""How examples are drawn."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no failure, and a failure should come back.
settings.register_profile("arbench", deadline=None, derandomize=True)
settings.load_profile("arbench")
