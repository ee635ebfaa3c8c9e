"""The commands `jnlp index` and `jnlp search`."""
