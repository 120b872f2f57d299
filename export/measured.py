"""The gates' measurements of exported files, as `python -m export measure` keeps them in measured.json."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from common.documents import read_document
from common.errors import DataError

MEASURED = "measured.json"


class Measured(BaseModel):
    """One file. Cosines are with the float32 export's embeddings; rates are fractions; latencies by what was run."""

    file: str
    bytes: int
    passed: bool
    reason: str = ""
    cosine_mean: float | None = None
    cosine_q01: float | None = None
    accuracy: float | None = None
    accuracy_difference: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    tar: float | None = None
    latency_ms: dict[str, Any] = {}


def read_measured(folder: Path) -> list[Measured]:
    """All rows of a folder of exports; none where nothing was measured. Raises DataError for a damaged file."""
    path = folder / MEASURED
    if not path.exists():
        return []
    return read_document(path, list[Measured], DataError, "measure again (python -m export measure)")
