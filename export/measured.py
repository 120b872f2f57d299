"""The gates' measurements of exported files, as `python -m export measure` keeps them in measured.json."""

from pathlib import Path

from pydantic import BaseModel

from common.documents import read_document
from common.errors import DataError

MEASURED = "measured.json"


class Loss(BaseModel):
    """A rate, what it lost against float32 (below 0: gained), and the paired 95 % interval of the loss. Fractions."""

    rate: float
    loss: float
    low: float
    high: float


class Measured(BaseModel):
    """One file: cosines with float32's embeddings, rates by set, milliseconds by BATCHxTHREADS, its verdict."""

    file: str
    bytes: int
    cosine_mean: float
    cosine_q01: float
    accuracy: dict[str, Loss]
    far: dict[str, float]
    tar: dict[str, Loss]
    latency_ms: dict[str, float]
    passed: bool
    reason: str


class _Document(BaseModel):
    rows: list[Measured]


def read_measured(folder: Path) -> list[Measured]:
    """All rows of a folder of exports; none where nothing was measured. Raises DataError for a damaged file."""
    path = folder / MEASURED
    if not path.exists():
        return []
    return read_document(path, _Document, DataError, "measure again (python -m export measure)").rows
