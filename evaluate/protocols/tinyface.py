"""TinyFace: closed-set identification of low-resolution faces against mates and distractors.

Protocol (the public evaluators of CVLface, AdaFace and TinyFace's authors agree): the gallery is all mates and
distractors, similarity is the cosine, and a probe counts at rank k if any face of its person is among its k best. The
person is the integer before `_` in a file's name; files are matched by name without folder and extension. Probes
without a mate are left out.

A row of zeros (no face found) has similarity 0 with everything. In the public evaluators it becomes NaN, which sorts
first, and one such distractor turns rank-1 into 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from common.embeddings import search
from common.errors import DataError

TINYFACE_RANKS = (1, 5, 20)
TINYFACE_ARRAYS = ("image_paths", "probe_paths", "gallery_paths", "distractor_paths")
_DISTRACTOR = -100
# The CMC curve is known this far.
_CMC_RANKS = 50


@dataclass(frozen=True)
class TinyFaceResult:
    """Rank rates as fractions of the probes that have a mate."""

    probes: int
    probes_without_mate: int
    mates: int
    distractors: int
    rank: dict[int, float]
    mate_ranks: np.ndarray  # (probes,) int64: place of the best mate, 0 if beyond the 50 best
    genuine_scores: np.ndarray  # (probes,) best score that is a mate's; NaN if beyond

    def summary(self) -> dict[str, Any]:
        """The numbers for JSON."""
        numbers = {name: getattr(self, name) for name in ("probes", "probes_without_mate", "mates", "distractors")}
        return numbers | {"rank": self.rank}


def evaluate_tinyface(
    embeddings: np.ndarray, meta: Mapping[str, np.ndarray], ranks: Sequence[int] = TINYFACE_RANKS
) -> TinyFaceResult:
    """Evaluate (R,D) float embeddings, any length a row; row i is the image `meta['image_paths'][i]`.

    meta: `image_paths` (R,), `probe_paths`, `gallery_paths` (mates), `distractor_paths`, text.
    Raises DataError for missing arrays, names without an image, and NaN or infinity.
    """
    paths = {name: _texts(meta, name) for name in TINYFACE_ARRAYS}
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or embeddings.dtype.kind != "f" or len(embeddings) != len(paths["image_paths"]):
        raise DataError(
            f"{len(paths['image_paths'])} images in the protocol, embeddings are {embeddings.dtype} {embeddings.shape}"
        )
    row_of = _rows_by_name(paths["image_paths"])
    people = {name: np.array([_person(path) for path in paths[name]]) for name in ("probe_paths", "gallery_paths")}
    with_mate = np.isin(people["probe_paths"], people["gallery_paths"])
    if not with_mate.any():
        raise DataError("no probe has a mate in the gallery; are probe_paths and gallery_paths of one protocol?")
    gallery_paths = [*paths["gallery_paths"], *paths["distractor_paths"]]
    gallery_people = np.append(people["gallery_paths"], np.full(len(paths["distractor_paths"]), _DISTRACTOR))
    gallery = _unit(embeddings[[_row(row_of, path) for path in gallery_paths]])
    probes = _unit(embeddings[[_row(row_of, path) for path in paths["probe_paths"]]][with_mate])

    scores, found = search(gallery, probes, max(*ranks, _CMC_RANKS))
    hit = gallery_people[found] == people["probe_paths"][with_mate][:, None]
    first = np.argmax(hit, axis=1)
    mate_ranks = np.where(hit.any(axis=1), first + 1, 0)
    return TinyFaceResult(
        probes=len(probes),
        probes_without_mate=int((~with_mate).sum()),
        mates=len(paths["gallery_paths"]),
        distractors=len(paths["distractor_paths"]),
        rank={k: float(np.mean((mate_ranks > 0) & (mate_ranks <= k))) for k in ranks},
        mate_ranks=mate_ranks,
        genuine_scores=np.where(mate_ranks > 0, scores[np.arange(len(scores)), first], np.nan),
    )


def _texts(meta: Mapping[str, np.ndarray], name: str) -> list[str]:
    if name not in meta:
        raise DataError(f"the protocol has no {name!r}; it has {', '.join(sorted(meta)) or 'nothing'}")
    texts = np.asarray(meta[name]).tolist()
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"protocol array {name} must be a row of file names")
    return texts


def _stem(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).stem


def _person(path: str) -> int:
    number = _stem(path).split("_")[0]
    if not number.lstrip("-").isascii() or not number.lstrip("-").isdigit() or len(number) > 18:
        raise DataError(f"{path[:200]!r}: a file name must start with the person's number and '_'")
    return int(number)


def _rows_by_name(paths: list[str]) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, path in enumerate(paths):
        # -1 marks a name that stands for two images: an error only if the protocol asks for it.
        rows[_stem(path)] = -1 if _stem(path) in rows else row
    return rows


def _row(rows: dict[str, int], path: str) -> int:
    row = rows.get(_stem(path))
    if row is None or row < 0:
        raise DataError(f"{path[:200]!r}: {'no image has' if row is None else 'more than one image has'} this name")
    return row


def _unit(rows: np.ndarray) -> np.ndarray:
    """Unit rows, float32, in place of the copy handed over; a row of zeros stays zero."""
    rows = rows.astype(np.float32, copy=False)
    length = np.sqrt(np.einsum("rd,rd->r", rows, rows))
    rows /= np.where(length > 0, length, 1.0)[:, None]
    return rows
