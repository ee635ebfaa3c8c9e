"""Conditions on documents: `year >= 2020 and kind = 'pdf'` is parsed to a tree, and the tree becomes bound SQL."""
