"""Readers: any input as a stream of records."""
