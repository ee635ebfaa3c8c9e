"""Makes, measures and describes the built-in models; not part of the wheel."""
