"""Does a teacher know faces at all, and does it get its colours the right way round?

A wrong channel order, scale or architecture variant still gives vectors, and a student would learn them. On a few
labelled faces the mistake shows: cosines within identities must lie above those between them, and not lie better with
red and blue exchanged.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from common.errors import DataError, ModelError
from common.faces import FaceSource, refuse_mixed_sizes
from common.models.face_model import FaceModel
from common.vectors import unit_rows

BATCH = 32
STRANGERS_COSINE = 0.25
"""Above this mean cosine of different people the faces are probably not aligned as the teacher's were.

SFace on aligned LFW: 0.091 over 60 people, 0.060 to 0.125 over 2,000 draws of 12 of them. On 48 photos of 12 people
that are not aligned, 0.334 with `faces.fit = "crop"` and 0.426 with "resize".
"""


@dataclass(frozen=True)
class Separation:
    """Cosines of same-identity against different-identity pairs.

    `auc` is the chance that a random same pair lies above a random different pair; `d_prime` the distance of the two
    means in their common standard deviation.
    """

    same_mean: float
    different_mean: float
    auc: float
    d_prime: float


@dataclass(frozen=True)
class TeacherReport:
    """Separation with the channel order the model claims, and with the other one."""

    faces: int
    same_pairs: int
    different_pairs: int
    channel_order: str
    given: Separation
    swapped: Separation

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)


def check_teacher(model: FaceModel, faces: np.ndarray, labels: np.ndarray) -> TeacherReport:
    """Compare same-identity with different-identity cosines, and the channel order with its opposite.

    Args:
        model: the teacher.
        faces: uint8 (N,H,W,3) RGB; a few hundred tell enough.
        labels: (N,) identities; some must occur twice.

    Raises:
        DataError: there is no pair of one identity, or none of two.
    """
    labels = np.asarray(labels)
    first, second = np.triu_indices(len(labels), k=1)
    same = labels[first] == labels[second]
    if same.all() or not same.any():
        raise DataError(
            f"{len(labels)} labelled faces give {same.sum()} same and {(~same).sum()} different pairs; "
            "a check of the teacher needs both"
        )
    given, swapped = (
        separation(_cosines(embed, faces)[first, second], same) for embed in (model.embed, model.embed_swapped)
    )
    order = str(model.describe()["channel_order"])
    return TeacherReport(len(faces), int(same.sum()), int((~same).sum()), order, given, swapped)


def refuse_evidently_wrong(report: TeacherReport, min_auc: float = 0.8, swap_margin: float = 1.05) -> None:
    """Stop before a cache is built from nonsense.

    Args:
        report: of `check_teacher`.
        min_auc: the two kinds of pairs separate above this. Measured on 160 LFW faces of 40 people: networks without
            training 0.62 to 0.65 (backgrounds and clothes agree within identities), SFace 1.00, SFace scaled as if it
            were another's 0.60.
        swap_margin: the exchanged channels may not separate better than by this factor of d'. There, SFace as it
            should be has 1.10 times the d' of SFace with the channels exchanged.

    Raises:
        ModelError: the embeddings do not separate identities, or do so better with the channels exchanged.
    """
    given, swapped, order = report.given, report.swapped, report.channel_order
    other = "bgr" if order == "rgb" else "rgb"
    if max(given.auc, swapped.auc) < min_auc:
        raise ModelError(
            f"the teacher does not tell people apart: AUC {given.auc:.3f} over {report.same_pairs} same and "
            f"{report.different_pairs} different pairs, at least {min_auc} is expected; check architecture, mean, std, "
            "size and that the faces are aligned"
        )
    if swapped.d_prime > swap_margin * given.d_prime:
        raise ModelError(
            f"the teacher separates better with red and blue exchanged (d' {swapped.d_prime:.2f} against "
            f"{given.d_prime:.2f}); set channel_order = '{other}'"
        )


def warning_of(report: TeacherReport) -> str | None:
    """What is odd about a teacher that does tell people apart, None if nothing is; doubtful, so it refuses nothing."""
    if report.given.different_mean <= STRANGERS_COSINE:
        return None
    return (
        f"strangers' mean cosine is {report.given.different_mean:.2f}, above {STRANGERS_COSINE}: "
        "are the faces aligned (docs/data.md)?"
    )


def labelled_sample(source: FaceSource, identities: int = 60, each: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """The first identities of a source that have two faces or more: uint8 (N,H,W,3) RGB and labels (N,).

    Walks the source in order and stops as soon as `identities` of them have `each` faces, so a data set sorted by
    identity is hardly read.
    """
    members: dict[int, list[int]] = {}
    full = 0
    for index in range(len(source)):
        found = members.setdefault(source.label(index), [])
        if len(found) < each:
            found.append(index)
            full += len(found) == each
        if full == identities:
            break
    chosen = sorted((found for found in members.values() if len(found) > 1), key=len, reverse=True)[:identities]
    if not chosen:
        raise DataError("no identity of these faces has two pictures; a check of the teacher needs some")
    faces = dict(_decoded(source, [index for found in chosen for index in found]))
    if not faces:
        raise DataError(f"none of {len(chosen)} identities' pictures decodes; a check of the teacher needs some")
    refuse_mixed_sizes(faces, source.name)
    return np.stack(list(faces.values())), np.array([source.label(index) for index in faces])


def _decoded(source: FaceSource, indices: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Faces that decode; whether another one may be left out is for the build to say (cache.on_bad_image)."""
    for index in indices:
        try:
            yield index, source.rgb(index)
        except DataError:
            continue


def separation(cosines: np.ndarray, same: np.ndarray) -> Separation:
    """Separation of `cosines` (P,) by the booleans `same` (P,)."""
    ours, others = cosines[same], cosines[~same]
    # Mann-Whitney: for each same pair the different pairs below it, ties counting half.
    ordered = np.sort(others)
    below = np.searchsorted(ordered, ours, "left") + np.searchsorted(ordered, ours, "right")
    auc = below.mean() / (2 * len(others))
    spread = np.sqrt((ours.var() + others.var()) / 2)
    d_prime = (ours.mean() - others.mean()) / max(spread, 1e-12)
    return Separation(float(ours.mean()), float(others.mean()), float(auc), float(d_prime))


def _cosines(embed: Callable[[np.ndarray], np.ndarray], faces: np.ndarray) -> np.ndarray:
    rows = np.concatenate([embed(faces[at : at + BATCH]) for at in range(0, len(faces), BATCH)])
    unit = unit_rows(rows)
    cosines: np.ndarray = unit @ unit.T
    return cosines
