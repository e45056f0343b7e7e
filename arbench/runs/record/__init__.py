"""The record of a run, its older formats, and what binds it to the files beside it."""
