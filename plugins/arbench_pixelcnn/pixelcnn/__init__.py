"""Recipes of `pixelcnn`."""
