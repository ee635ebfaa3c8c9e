"""The version of jnlp, read by the build and by `jnlp --version`."""

__version__ = "0.1.0"
