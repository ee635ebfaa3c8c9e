"""Makes and measures `tiny-search`."""
