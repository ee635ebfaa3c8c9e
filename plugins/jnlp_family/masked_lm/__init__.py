"""Measures a pre-trained masked LM and its baselines: `python -m jnlp_family.masked_lm MODEL DATA`."""
