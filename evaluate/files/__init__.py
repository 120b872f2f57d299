"""Evaluation sets as they are published (`.bin`, `metadata.pt`, Arrow), read without executing anything in them."""

from evaluate.files.arrow import ArrowFaces
from evaluate.files.binfile import load_bin
from evaluate.files.metadata import read_metadata

__all__ = [
    "ArrowFaces",
    "load_bin",
    "read_metadata",
]
