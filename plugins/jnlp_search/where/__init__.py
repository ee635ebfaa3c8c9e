"""Conditions on documents: parses `year >= 2020 and kind = 'pdf'` to a tree and compiles it to SQL with parameters."""
