"""Stage one: run the frozen teacher once over seeded views of every face, and keep what it said (the teacher cache).

A finished cache is read (`cache.reader`), checked and mended, cut into subsets, given more views, audited and shared.
"""
