"""The single-file program that is shipped to a host."""
