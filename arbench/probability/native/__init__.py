"""Sampling by compiled code: all sites of an event without a return to Python."""
