"""From a density to numbers: likelihood, speed, and how sure they are."""
