"""Measures the task `pii`."""
