"""Layer 0: the nouns. Standard library only, frozen values, no input or output."""
