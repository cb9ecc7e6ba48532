"""Layer 1: one intended stimulus a file."""
