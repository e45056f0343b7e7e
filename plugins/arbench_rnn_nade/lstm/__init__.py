"""Recipes of `lstm-nade`."""
