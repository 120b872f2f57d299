"""The head: margin, class centres, geometry and softmax over the classes, exact in blocks, split and sampled."""

from distill.head.first_centers import first_centers
from distill.head.head import Head, build_head

__all__ = ["Head", "build_head", "first_centers"]
