"""Trained runs and their index, as they ship with the package."""
