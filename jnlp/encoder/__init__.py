"""The encoder: ModernBERT over packed tokens, its tokenizer, windows, heads and loaders.

Reading order: `packing` (all tokens of a batch, one after another), `attention` (the seam), `modernbert` (the network),
`windows` (long texts), `heads` (what tasks see), `load` (folders to heads).
"""
