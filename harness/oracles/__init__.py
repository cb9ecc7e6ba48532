"""Layer 1: one truth about a good host a file."""
