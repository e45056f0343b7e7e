"""Recipes of `lstm`."""
