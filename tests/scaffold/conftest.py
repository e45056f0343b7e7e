"""Projects that an older `arbench new` wrote are data here: their tests run where they install."""

collect_ignore = ["made_by_0_1"]
