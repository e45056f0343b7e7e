"""One experiment, from data to record."""
