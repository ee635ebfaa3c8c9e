"""Makes `tiny-toxicity`."""
