"""The head: margin, class centres, geometry and softmax over the classes, exact in chunks, split and sampled."""

from distill.head.class_shard import refuse_fewer_classes
from distill.head.first_centers import starting_centers
from distill.head.head import Head, HeadOutput, build_head

__all__ = [
    "Head",
    "HeadOutput",
    "build_head",
    "refuse_fewer_classes",
    "starting_centers",
]
