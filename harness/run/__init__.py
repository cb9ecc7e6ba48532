"""Layer 3: cases performed, judged, stored, replayed, minimised."""
