"""One experiment, start to record: resolved, trained, measured, kept, read again."""
