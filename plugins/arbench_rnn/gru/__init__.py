"""Recipes of `gru`."""
