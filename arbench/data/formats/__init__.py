"""Formats of images and recordings, read exactly or refused."""

from arbench.data.formats import mu_law as mu_law
