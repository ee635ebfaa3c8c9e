"""The encoder: ModernBERT over packed tokens, its tokenizer, windows, heads and loaders.

Reading order: `packing` (all tokens of a batch in one sequence), `attention` (its implementations), `modernbert` (the
network), `windows` (long texts), `heads` (the interface to tasks), `load` (from folders to heads).
"""
