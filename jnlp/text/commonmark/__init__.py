"""Parses Markdown by CommonMark's rules, with tables, strike-through and footnotes: first blocks, then inlines.

In case of doubt, text that CommonMark shows is never removed. https://spec.commonmark.org/0.31.2/
"""
