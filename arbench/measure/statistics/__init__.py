"""Standard errors, blocks, paired tests."""
