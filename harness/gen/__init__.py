"""Layer 2: cases drawn from choices. Hypothesis lives here and in the plugin."""
