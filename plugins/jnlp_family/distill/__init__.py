"""A ModernBERT learns the token states of a teacher: `tiny-search` from multilingual-e5-small."""
