"""Layer 1: what to run, what is known, and whether it may be released."""
