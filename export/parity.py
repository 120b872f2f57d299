"""An exported file against the model it came from, on the same faces: numbers before any file is called good."""

from collections.abc import Sequence

import numpy as np
import onnx

from common.models import FaceModel, relative_deviation
from common.vectors import unit_rows
from export.contract import Form
from export.session import Session

BATCHES = (1, 7, 32, 64)
LIMITS = {"float32": 1e-5, "float16": 5e-3}
"""Largest deviation of a value from PyTorch's, relative to the norm of the embedding."""


def deviations(
    model: FaceModel, exported: onnx.ModelProto, form: Form, batches: Sequence[int] = BATCHES
) -> list[float]:
    """The largest deviation at each size of batch, relative to the smallest norm of its embeddings.

    Faces are smooth random ones; every batch is one call of the graph.
    """
    session = Session(exported)
    found = []
    for batch in batches:
        faces = smooth_faces(batch, model.size)
        found.append(relative_deviation(session.embed(faces), expected(model, faces, form)))
    return found


def expected(model: FaceModel, faces: np.ndarray, form: Form) -> np.ndarray:
    """What a graph of this form should give for uint8 faces (B,H,W,3): float32 (B,D)."""
    rows = model.embed(faces)
    if form.flip:
        rows = rows + model.embed(faces[:, :, ::-1])
    return unit_rows(rows).astype(np.float32) if form.unit else rows


def smooth_faces(count: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """uint8 (count,H,W,3): low frequencies with some noise, as photos have them and white noise has not."""
    draw = np.random.default_rng([seed, count])
    height, width = size
    coarse = draw.uniform(0, 255, (count, -(-height // 14), -(-width // 14), 3))
    fine = coarse.repeat(14, axis=1).repeat(14, axis=2)[:, :height, :width]
    return np.clip(fine + 8 * draw.standard_normal(fine.shape), 0, 255).astype(np.uint8)
