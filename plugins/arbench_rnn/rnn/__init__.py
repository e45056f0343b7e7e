"""Recipes of `rnn`."""
