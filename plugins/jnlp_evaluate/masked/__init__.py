"""What a masked LM knows, without training: the cloze test, the needle test, and pseudo-perplexity."""
