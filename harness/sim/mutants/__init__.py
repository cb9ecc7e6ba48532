"""Named defects of the simulated host, one a file."""
