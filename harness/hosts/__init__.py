"""Layer 2: the world. Where a Case can be performed, chosen by URL."""
