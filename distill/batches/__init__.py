"""Batches for the student, made ahead of the step: which samples and views, their faces, what the teacher said of them.

with BatchLoader(faces, EpochOrder(config, samples, rank, ranks), workers=4, device) as loader:
    for batch in loader.from_step(0): ...         every batch of the run, in its order
"""

from distill.batches.epochs import EpochOrder, Wanted, kept_samples, steps_in_epoch
from distill.batches.face_batches import FaceBatches, TrainingBatch
from distill.batches.loading import BatchLoader

__all__ = [
    "BatchLoader",
    "EpochOrder",
    "FaceBatches",
    "TrainingBatch",
    "Wanted",
    "kept_samples",
    "steps_in_epoch",
]
