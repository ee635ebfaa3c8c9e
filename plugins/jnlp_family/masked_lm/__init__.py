"""What a masked LM that was pre-trained here can do, beside baselines: `python -m jnlp_family.masked_lm MODEL DATA`."""
