"""The index on disk: an SQLite catalogue, FAISS segments, their checks and their repair."""
