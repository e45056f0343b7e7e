"""Flows: invertible networks that make a density of real events, and what they promise."""
