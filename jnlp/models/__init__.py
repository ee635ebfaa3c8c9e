"""Models by name: their specs (`specs`), their folders (`resolve`), their state (`catalog`).

Reading order: `specs`, `folder` (reads a model folder), `cache`, `download`, `resolve`, `catalog`. No module here loads
weights: they read only a folder's small files and the headers of its safetensors files.
"""
