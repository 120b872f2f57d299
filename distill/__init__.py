"""Stage two: train students from the cache, with any number of ranks, resumed exactly.

The head can be used alone, in a training loop of one's own: `from distill.head import build_head`.
"""
