"""A queue as a pool: who makes which run, and how all of them stand."""
