"""Protocols and metrics as pure functions of embeddings: verification, templates, identification, search."""

from evaluate.protocols.metrics import Point, Roc, shown_at
from evaluate.protocols.nearest import checked_rows, search
from evaluate.protocols.templates import FARS, TemplateResult, evaluate_templates
from evaluate.protocols.tinyface import TinyFaceResult, evaluate_tinyface
from evaluate.protocols.verification import FAR_TARGETS, VerificationResult, load_bin, ten_fold

__all__ = [
    "FARS",
    "FAR_TARGETS",
    "Point",
    "Roc",
    "TemplateResult",
    "TinyFaceResult",
    "VerificationResult",
    "checked_rows",
    "evaluate_templates",
    "evaluate_tinyface",
    "load_bin",
    "search",
    "shown_at",
    "ten_fold",
]
