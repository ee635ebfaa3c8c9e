"""The search page: rendered here, with a little script for keys and for answers in place."""
