"""Which layers stay float: those whose return does most for the embeddings, until these agree with float32's.

Agreement is the cosine of each face's two embeddings, on training faces that calibration has not seen; the evaluation's
faces decide nothing here, they only judge what comes out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx

from common.vectors import unit_rows
from export.quantise.layers import Layer, layers_of
from export.quantise.static import quantised
from export.session import Session

BATCH = 32

Ends = Literal["both", "first", "none"]
"""Which of the first convolution and the embedding's layer stay float from the beginning."""


@dataclass(frozen=True)
class Agreement:
    """Mean and 1 % quantile of cosines."""

    mean: float
    q01: float


@dataclass(frozen=True)
class Found:
    """The graph, the layers that stayed float, and the agreement after each that was put back, from none on."""

    graph: onnx.ModelProto
    floats: list[Layer]
    trail: list[Agreement]
    holds: bool


def agreement(rows: np.ndarray, reference: np.ndarray) -> Agreement:
    """Of embeddings (N,D) with those of the same faces in float32."""
    cosines = np.einsum("nd,nd->n", unit_rows(rows), unit_rows(reference))
    return Agreement(float(cosines.mean()), float(np.quantile(cosines, 0.01)))


def choose_floats(
    graph: onnx.ModelProto,
    ranges: Any,
    faces: np.ndarray,
    mean: float,
    q01: float,
    ends: Ends = "first",
    most: int = 12,
    say: Callable[[str], None] = lambda line: None,
) -> Found:
    """Quantise all, then put layers back, the most harmful first, until agreement reaches `mean` and `q01`.

    Harm is measured once, by leaving out one layer at a time: what the mean cosine gains when it alone is float.

    Args:
        faces: uint8 (N,H,W,3), not those of the ranges.
        ends: float from the beginning.
        most: layers to put back at most, before the search gives up.
    """
    reference = embedded(graph, faces)
    layers = layers_of(graph)
    floats = {"both": [layers[0], layers[-1]], "first": [layers[0]], "none": []}[ends]

    def with_floats(chosen: Sequence[Layer]) -> tuple[onnx.ModelProto, Agreement]:
        candidate = quantised(graph, ranges, chosen)
        return candidate, agreement(embedded(candidate, faces), reference)

    best, agrees = with_floats(floats)
    trail = [agrees]

    def holds() -> bool:
        return agrees.mean >= mean and agrees.q01 >= q01

    if not holds():
        others = [layer for layer in layers if layer not in floats]
        say(f"cosine {agrees.mean:.4f}, 1 % below {agrees.q01:.4f}: leaving out each of {len(others)} layers in turn")
        gains = [with_floats([*floats, layer])[1].mean for layer in others]
        for number in np.argsort(gains)[::-1][:most]:
            floats.append(others[number])
            best, agrees = with_floats(floats)
            trail.append(agrees)
            say(f"float again: {others[number][0]}; cosine {agrees.mean:.4f}, 1 % below {agrees.q01:.4f}")
            if holds():
                break
    return Found(best, floats, trail, holds())


def embedded(graph: onnx.ModelProto, faces: np.ndarray) -> np.ndarray:
    """float32 (N,D), in batches."""
    session = Session(graph)
    return np.concatenate([session.embed(faces[at : at + BATCH]) for at in range(0, len(faces), BATCH)])
