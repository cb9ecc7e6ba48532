"""Layer 1: renderings of runs and gates."""
