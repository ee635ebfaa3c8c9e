"""Makes `tiny-rerank`: a cross-encoder that starts as the first layers of `tiny-search`."""
