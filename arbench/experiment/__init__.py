"""Old places of names that `arbench` has now: the modules of 0.1, which go in 0.3."""
