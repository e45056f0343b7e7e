"""Recipes of `rnn-nade`."""
