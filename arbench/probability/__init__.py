"""Pure mathematics of autoregressive densities: no files, no clock, no command line."""
