"""Layer 1: the simulated POWER host, pure, in virtual time."""
