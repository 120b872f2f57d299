"""Protocols and metrics as pure functions of embeddings: verification, templates, identification, nearest neighbours.

Which public evaluator a number agrees with, and where protocols of one name differ, is in docs/evaluation.md.
"""

from common.embeddings import search
from evaluate.protocols.far_thresholds import RESAMPLES, operating_points, repeating
from evaluate.protocols.identification import IDENTIFICATION_RANKS
from evaluate.protocols.metrics import Point, Roc, shown_at
from evaluate.protocols.templates import (
    FARS,
    TEMPLATE_ARRAYS,
    PoolingResult,
    TemplateResult,
    evaluate_templates,
)
from evaluate.protocols.tinyface import (
    TINYFACE_ARRAYS,
    TINYFACE_RANKS,
    TinyFaceResult,
    evaluate_tinyface,
)
from evaluate.protocols.verification import (
    ACCURACY_STEP,
    FAR_TARGETS,
    LARGEST_DISTANCE,
    VerificationResult,
    pair_distances,
    pair_folds,
    ten_fold,
)

__all__ = [
    "ACCURACY_STEP",
    "FARS",
    "FAR_TARGETS",
    "IDENTIFICATION_RANKS",
    "LARGEST_DISTANCE",
    "RESAMPLES",
    "TEMPLATE_ARRAYS",
    "TINYFACE_ARRAYS",
    "TINYFACE_RANKS",
    "Point",
    "PoolingResult",
    "Roc",
    "TemplateResult",
    "TinyFaceResult",
    "VerificationResult",
    "evaluate_templates",
    "evaluate_tinyface",
    "operating_points",
    "pair_distances",
    "pair_folds",
    "repeating",
    "search",
    "shown_at",
    "ten_fold",
]
