"""Markdown by the rules of CommonMark, with tables, strike-through and footnotes: its blocks, then their inside.

The rule for every doubt: text that CommonMark shows is never removed. https://spec.commonmark.org/0.31.2/
"""
