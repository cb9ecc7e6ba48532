"""Layer 1: bytes and text to nouns and back, without any input or output."""
