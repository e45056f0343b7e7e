"""Walks through events, one dim after the other, that draw nothing."""
