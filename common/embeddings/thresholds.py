"""Cosines above which two faces are taken for one person's, as `python -m evaluate calibrate` found them for a model.

They lie beside the model as WEIGHTS.thresholds.json (WEIGHTS: the whole name of its file), and belong to that model and
to one way of embedding: a mirror image added or not. Thresholds of another model are refused.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from common.documents import read_document
from common.errors import ModelError, UserError
from common.files import sha256_of, write_json
from common.models import FaceModel, identity_of

Protocol = Literal["flip-sum", "single"]
_ANEW = "calibrate the model again (python -m evaluate calibrate)"
_Cosine = Annotated[float, Field(ge=-1.001, le=1.001)]


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Row(_Kept):
    """One operating point: at most `far` of the set's strangers have a cosine above `threshold`, `tar` of its mates do.

    low, high: the 2.5 % and 97.5 % quantiles of the threshold when people, or pairs, are drawn anew.
    """

    far: Annotated[float, Field(gt=0, lt=1)]
    threshold: _Cosine
    low: _Cosine
    high: _Cosine
    tar: Annotated[float, Field(ge=0, le=1)]

    def text(self) -> str:
        """For people."""
        return f"cosine {self.threshold:.3f} (95 %: {self.low:.3f} to {self.high:.3f}) at FAR {self.far:g}"


class Thresholds(_Kept):
    """What was calibrated: of which model, on what, and the operating points."""

    model: dict[str, Any]  # `common.models.identity_of`
    set: str
    set_sha256: str
    impostors: Annotated[int, Field(gt=0)]  # pairs of strangers in the set
    protocol: Protocol
    resampled: Literal["people", "pairs"]
    resamples: int
    rows: Annotated[list[Row], Field(min_length=1)]

    def at(self, far: float | None = None) -> Row:
        """The row of a FAR, else that of the lowest. Raises UserError for one that was not calibrated."""
        if far is None:
            return min(self.rows, key=lambda row: row.far)
        row = next((row for row in self.rows if abs(row.far - far) <= 1e-9 * far), None)
        if row is None:
            known = ", ".join(f"{row.far:g}" for row in self.rows)
            raise UserError(f"no threshold is known for FAR {far:g}, but for {known}: {_ANEW}")
        return row

    def told(self) -> dict[str, Any]:
        """What an exported file says of them: how faces are embedded, on what they hold, and the operating points."""
        return self.model_dump(mode="json", include={"protocol", "set", "impostors", "rows"})


@dataclass(frozen=True)
class Cut:
    """A threshold in use: a cosine *above* it means one person, as in the protocol of `.bin` sets."""

    cosine: float
    origin: str

    def same(self, cosine: float) -> bool:
        """Whether two faces of this cosine are taken for one person's."""
        return cosine > self.cosine


def sidecar_of(weights: Path) -> Path:
    """Where a model's thresholds lie."""
    return weights.with_name(f"{weights.name}.thresholds.json")


def write_thresholds(path: Path, thresholds: Thresholds) -> None:
    """Keep them. Atomic."""
    write_json(path, thresholds.model_dump(mode="json"), sort_keys=False)


def read_thresholds(model: FaceModel, path: Path | None = None) -> Thresholds | None:
    """A model's thresholds, from `path`, else from beside its weights; None where nothing lies there.

    Raises ModelError for a damaged file, for one that is asked for and missing, and for one of another model.
    """
    if path is None and not sidecar_of(model.path).exists():
        return None
    where = path or sidecar_of(model.path)
    found = read_document(where, Thresholds, ModelError, _ANEW)
    for field, value in identity_of(model.describe()).items():
        if found.model.get(field) != value:
            raise ModelError(
                f"{where}: thresholds of another model: {field} is {found.model.get(field)} there, {value} in "
                f"{model.path.name}: {_ANEW}, or remove the file"
            )
    return found


def contract_thresholds(model: FaceModel, flip: bool) -> dict[str, Any] | None:
    """What a file exported from a model says of its thresholds; None where none are calibrated.

    flip: the file adds the mirror image by itself, so that thresholds of single faces do not hold for what it gives.

    Raises ModelError as `read_thresholds` does.
    """
    known = read_thresholds(model)
    return None if known is None or (flip and known.protocol == "single") else known.told()


def thresholds_beside(weights: Path) -> Thresholds | None:
    """Those that lie beside a file of weights, which nobody has to open for it; None where there are none.

    Raises ModelError for a damaged file, and for one of other weights.
    """
    where = sidecar_of(weights)
    if not where.exists():
        return None
    found = read_document(where, Thresholds, ModelError, _ANEW)
    there, here = found.model.get("weights_sha256"), sha256_of(weights)
    if there != here:
        raise ModelError(
            f"{where}: thresholds of other weights: sha256 is {there} there, {here} here: {_ANEW}, or remove the file"
        )
    return found


def choose_cut(
    model: FaceModel, flip: bool, given: float | None = None, far: float | None = None, path: Path | None = None
) -> Cut | None:
    """The threshold to judge by: a cosine that is `given`, else the model's own at `far`; None where none is known.

    Raises UserError as `read_thresholds` does, and where the thresholds are of embeddings with a mirror image and these
    are without, or the other way round.
    """
    if given is not None:
        if far is not None or path is not None:
            raise UserError(f"a threshold of {given:g} is given: leave out --far and --thresholds, or --threshold")
        return Cut(given, f"cosine {given:g}, as given")
    known = read_thresholds(model, path)
    if known is None:
        if far is not None:
            raise UserError(f"{model.path.name}: no threshold is known for FAR {far:g}: {_ANEW}")
        return None
    if known.protocol != protocol_of(flip):
        raise UserError(
            f"{path or sidecar_of(model.path)}: thresholds of {known.protocol} embeddings, these are "
            f"{protocol_of(flip)}: embed as they were, or {_ANEW}"
        )
    row = known.at(far)
    return Cut(row.threshold, f"{row.text()}, on {known.impostors:,} pairs of strangers in {known.set}")


def protocol_of(flip: bool) -> Protocol:
    """How embeddings with and without a mirror image are called."""
    return "flip-sum" if flip else "single"
