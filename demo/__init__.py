"""The whole path on procedural faces: no data, no GPU, a few minutes."""
