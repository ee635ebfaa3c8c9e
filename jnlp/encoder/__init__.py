"""The encoder: ModernBERT over packed tokens, its tokenizer, windows, heads and loaders.

Reading order: `packing` (one row of tokens), `attention` (the seam), `modernbert` (the network), `windows` (long
texts), `heads` (what tasks see), `load` (folders to heads).
"""
