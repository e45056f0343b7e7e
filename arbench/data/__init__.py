"""What the events are and where they come from: tasks, streams, source files."""
