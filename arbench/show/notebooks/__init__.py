"""What a notebook shows of runs, records and events, and its progress bar."""
