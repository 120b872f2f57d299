"""The three kinds of evaluation set, behind one door: a `.bin` file, an IJB folder, a TinyFace folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from common.config import MeasureConfig
from common.embeddings import Embeddings
from common.errors import DataError
from evaluate.files import ArrowFaces, load_bin, read_metadata
from evaluate.pair_people import people_of_pairs
from evaluate.protocols import (
    FAR_TARGETS,
    FARS,
    IDENTIFICATION_RANKS,
    TEMPLATE_ARRAYS,
    TINYFACE_ARRAYS,
    TINYFACE_RANKS,
    evaluate_templates,
    evaluate_tinyface,
    pair_folds,
    ten_fold,
)

DEFAULT = MeasureConfig()


class Result(Protocol):
    """What every measure gives: VerificationResult, TemplateResult or TinyFaceResult."""

    def summary(self) -> dict[str, Any]:
        """The numbers, for JSON."""


@dataclass(frozen=True)
class FaceSet:
    """Pictures, how embeddings of them become a result (`measure(embeddings, flip)`), and what the pictures are
    called."""

    pictures: Sequence[bytes]
    measure: Callable[[Embeddings, bool], Result]
    names: Callable[[], tuple[str, ...]]


def open_set(path: Path, options: MeasureConfig = DEFAULT, measured: bool = True) -> FaceSet:
    """Open a set by what lies at `path`: a `.bin` file, or a folder with `metadata.pt` beside Arrow shards, whose
    arrays say whether it is IJB or TinyFace. `options.far` and `options.ranks` stand in for the protocol's own.
    Raises DataError naming the path if it is neither, or damaged, or if `measured` and its pairs cannot be cut into the
    folds that measuring needs: better now than when all of it is embedded."""
    if not path.is_dir():
        pictures, issame = load_bin(path)
        if measured:
            _refuse_folds(path, issame)
        people = cache(lambda: people_of_pairs(pictures, issame))

        def verify(embedded: Embeddings, flip: bool) -> Result:
            rows = embedded.rows
            fars = options.far or FAR_TARGETS
            result = ten_fold(
                rows[0::2], rows[1::2], issame, far_targets=fars, xnorm=embedded.xnorm, norms=embedded.norms
            )
            return replace(result, people=people())

        sides = [f"pair {pair}{side}" for pair in range(len(issame)) for side in "ab"]
        return FaceSet(pictures, verify, lambda: tuple(sides))
    meta = read_metadata(path / "metadata.pt")
    faces = ArrowFaces(path)
    if set(TINYFACE_ARRAYS) <= set(meta):
        ranks = options.ranks or TINYFACE_RANKS
        return FaceSet(
            faces,
            lambda embedded, flip: evaluate_tinyface(embedded.rows, meta, ranks),
            lambda: tuple(meta["image_paths"].tolist()),
        )
    if set(TEMPLATE_ARRAYS) & set(meta):
        missing = [name for name in TEMPLATE_ARRAYS if name not in meta]
        if missing:
            raise DataError(f"{path / 'metadata.pt'}: the IJB protocol array {missing[0]!r} is missing")
        fars, places = options.far or FARS, options.ranks or IDENTIFICATION_RANKS
        return FaceSet(
            faces,
            lambda embedded, flip: evaluate_templates(embedded.rows, meta, flip, fars=fars, ranks=places),
            lambda: tuple(f"template {of} row {row}" for row, of in enumerate(meta["templates"].tolist())),
        )
    raise DataError(f"{path / 'metadata.pt'}: neither IJB nor TinyFace; it holds {', '.join(sorted(meta))[:200]}")


def _refuse_folds(path: Path, issame: np.ndarray) -> None:
    try:
        pair_folds(issame)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
