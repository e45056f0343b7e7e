"""The records and boards, as they ship with the package."""
