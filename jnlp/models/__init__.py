"""Models by name: what there is (`specs`), where it lies (`resolve`), what state it is in (`catalog`).

Reading order: `specs`, `folder` (what a folder says about itself), `cache`, `download`, `resolve`, `catalog`. Nothing
here loads weights: a folder is judged by its small files and by the headers of its safetensors files.
"""
