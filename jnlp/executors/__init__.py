"""Where a stream of records runs: `local` here; others come from plugins."""
