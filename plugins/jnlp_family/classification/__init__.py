"""How well `jnlp train classifier` does on few rows, next to TF-IDF; and the built-in model of sentiment."""
