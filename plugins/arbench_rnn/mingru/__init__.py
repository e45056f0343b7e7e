"""minGRU, and its recipes."""
