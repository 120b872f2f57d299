"""Thresholds that travel with a model: read from the sidecar that `python -m evaluate calibrate` writes beside weights.

known = read_thresholds(Path("runs/lfw/student.safetensors"))      # None where it was not calibrated
known.for_contract()                                               # what an ONNX file's metadata say
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from common.documents import read_document
from common.errors import ModelError
from common.files import sha256_of

_ANEW = "calibrate the model again (python -m evaluate calibrate), or remove the file"


class Row(BaseModel):
    """At most `far` of strangers have a cosine above `threshold`, `tar` of mates do; low, high: its 95 % interval."""

    far: float
    threshold: float
    low: float
    high: float
    tar: float


class Thresholds(BaseModel):
    """Operating points of one model on one set, and how its faces were embedded (`flip-sum` or `single`)."""

    model: dict[str, Any]
    set: str
    impostors: int
    protocol: str
    rows: list[Row]

    def for_contract(self) -> dict[str, Any]:
        """JSON-able, for the metadata of an exported file."""
        return self.model_dump(mode="json", exclude={"model"})


def sidecar_of(weights: Path) -> Path:
    """Where a model's thresholds lie."""
    return weights.with_name(f"{weights.name}.thresholds.json")


def read_thresholds(weights: Path) -> Thresholds | None:
    """Thresholds of a file of weights; None where none lie beside it.

    Raises ModelError for a damaged sidecar, and for one of other weights.
    """
    sidecar = sidecar_of(weights)
    if not sidecar.exists():
        return None
    found = read_document(sidecar, Thresholds, ModelError, _ANEW)
    there, here = found.model.get("weights_sha256"), sha256_of(weights)
    if there != here:
        raise ModelError(f"{sidecar}: thresholds of other weights: sha256 is {there} there, {here} here: {_ANEW}")
    return found
