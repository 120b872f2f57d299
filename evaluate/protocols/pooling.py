"""From embeddings of single faces to one embedding a template (IJB-B/C).

A template is a set of media of one person; a medium is a photograph, or all frames of one video. Pooling, as the
public evaluators agree on it (InsightFace's `image2template_feature`): the rows of one medium of one template are
averaged, the averages are summed, and the sum is scaled to unit length, all in float64.

Two switches, and published numbers differ by them:

- N1 keeps the length of each row (a face the network is sure of has a long embedding), N0 scales rows to unit length;
- D1 multiplies each row by its face-detection score, D0 does not.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from common.errors import DataError
from evaluate.protocols.blocks import over_blocks

# Rows pooled at once, whole templates: 256 x 512 float64 stay in a core's cache, and the product with the weights
# (one row a template and pooling) wastes little on rows of other templates.
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Pooling:
    """How rows are weighted: N (keep their length) and D (multiply by detection score)."""

    norm: bool
    detection: bool

    @property
    def letters(self) -> str:
        return f"N{int(self.norm)}D{int(self.detection)}"


# What CVLface reports, in its order. (False, False) is the fourth combination, reported by nobody.
COMMON = (Pooling(True, True), Pooling(True, False), Pooling(False, True))


def pool_templates(
    embeddings: np.ndarray,
    templates: np.ndarray,
    medias: np.ndarray,
    detection: np.ndarray,
    poolings: tuple[Pooling, ...] = COMMON,
) -> tuple[np.ndarray, dict[Pooling, np.ndarray]]:
    """Pool rows into templates.

    Args:
        embeddings: (R,D) float, not normalised.
        templates, medias: (R,) integers, in any order and with any gaps.
        detection: (R,) float, face-detection scores.

    Returns:
        The T template ids in ascending order, and for each pooling (T,D) float64 unit rows. A row of zeros adds
        nothing; a template of nothing but zeros stays zero, and so scores 0 with everybody.

    Raises:
        DataError: arrays of different lengths, or NaN or infinity, naming the row.
    """
    rows = len(embeddings)
    for name, array in (("templates", templates), ("medias", medias), ("detection scores", detection)):
        if array.shape != (rows,):
            raise DataError(f"{array.shape} {name} for {rows} embeddings")
    if not rows:
        raise DataError("no embeddings to pool")
    order = np.lexsort((medias, templates))
    ids, first = np.unique(templates[order], return_index=True)
    weight = _media_weights(templates[order], medias[order])
    pooled = np.empty((len(poolings), len(ids), embeddings.shape[1]))

    def pool(templates_of_block: tuple[int, int]) -> None:
        low, high = templates_of_block
        start, stop = first[low], first[high] if high < len(first) else rows
        chosen = order[start:stop]
        block = embeddings[chosen].astype(np.float64)
        length = np.sqrt(np.einsum("rd,rd->r", block, block))
        score = detection[chosen].astype(np.float64)
        if not np.isfinite(length).all() or not np.isfinite(score).all():
            wrong = np.argmin(np.isfinite(length) & np.isfinite(score))
            raise DataError(f"row {int(chosen[wrong])}: the embedding or its detection score is NaN or infinite")
        shrink = 1 / np.where(length > 0, length, 1.0)
        # The weight of every row in every template of the block, for each pooling: one matrix product pools all.
        weights = np.zeros((len(poolings), high - low, len(chosen)))
        template = np.searchsorted(first[low:high], np.arange(start, stop), "right") - 1
        for number, pooling in enumerate(poolings):
            scale = weight[start:stop] * (1.0 if pooling.norm else shrink) * (score if pooling.detection else 1.0)
            weights[number, template, np.arange(len(chosen))] = scale
        pooled[:, low:high] = (weights.reshape(-1, len(chosen)) @ block).reshape(len(poolings), high - low, -1)

    over_blocks(pool, _template_blocks(first, rows))
    for sums in pooled:
        length = np.sqrt(np.einsum("td,td->t", sums, sums))
        sums /= np.where(length > 0, length, 1.0)[:, None]
    return ids, dict(zip(poolings, pooled, strict=True))


def _media_weights(templates: np.ndarray, medias: np.ndarray) -> np.ndarray:
    """1 / (rows of the same medium in the same template), for rows sorted by template, then medium."""
    starts_new = np.append(True, (templates[1:] != templates[:-1]) | (medias[1:] != medias[:-1]))
    counts = np.diff(np.append(np.flatnonzero(starts_new), len(templates)))
    return np.repeat(1.0 / counts, counts)


def _template_blocks(first: np.ndarray, rows: int) -> list[tuple[int, int]]:
    """Ranges of whole templates with about `_BLOCK` rows each."""
    cuts = np.unique(np.searchsorted(first, np.arange(0, rows + _BLOCK, _BLOCK)))
    return [(int(low), int(high)) for low, high in pairwise(cuts)]
