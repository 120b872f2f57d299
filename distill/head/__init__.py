"""The distillation head: margin x class centres x geometry, and an exact softmax over any number of classes.

    head = build_head({"margin": "arcface", "m": 0.45}, num_classes=85_742, dim=512)
    out = head(f_s, f_t, labels, epoch)          out.loss.backward(); out.stats

Classes are taken in chunks, split over ranks, or sampled; docs/method.md has the maths.
"""

from distill.head.class_shard import ShardedRows, refuse_fewer_classes
from distill.head.first_centers import TeacherSpace, teacher_space
from distill.head.head import Head, HeadOutput, build_head

__all__ = [
    "Head",
    "HeadOutput",
    "ShardedRows",
    "TeacherSpace",
    "build_head",
    "refuse_fewer_classes",
    "teacher_space",
]
