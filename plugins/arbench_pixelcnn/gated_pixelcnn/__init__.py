"""Recipes of `gated-pixelcnn`."""
