"""The routes, a module for each API; each has `add(app, service)`."""
