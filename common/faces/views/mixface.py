"""Mixtures of two faces of a data set (after mixup, Zhang et al., ICLR 2018), for a teacher and a student that see the
same one: Beyer et al. (CVPR 2022) found such views to carry function matching.

A mixture has no label. Who is mixed in, and how much of it, are words of (seed, sample, view): pixels are integers.
"""

import numpy as np

from common.config import ViewsConfig
from common.errors import DataError
from common.faces.philox import four_words
from common.faces.views.arithmetic import blend, fixed_point
from common.faces.views.draws import below, between

STREAM_MIXFACE = 9


def partner_of(views: ViewsConfig, sample: int, view: int, faces: int) -> int:
    """The number of the face that is mixed in: any of `faces` but the sample itself, all equally likely.

    Raises DataError where there is no other.
    """
    if faces < 2:
        raise DataError("views.policy mixes two faces of a data set, and this one has a single face")
    drawn = below(faces - 1, four_words(views.seed, STREAM_MIXFACE, sample, view)[0])
    return drawn + (drawn >= sample)


def mixface(rgb: np.ndarray, other: np.ndarray, views: ViewsConfig, sample: int, view: int) -> np.ndarray:
    """uint8 (H,W,3): weight x the face + (1 - weight) x the other, of the same size, rounded half up.

    The weight is uniform in `mixface_weight`, to a 65,536th.
    """
    if rgb.shape != other.shape:
        sizes = [f"{face.shape[0]}x{face.shape[1]}" for face in (rgb, other)]
        raise DataError(f"view {view} of face {sample} mixes {sizes[0]} with {sizes[1]} pixels: set faces.fit")
    weight = between(views.mixface_weight, four_words(views.seed, STREAM_MIXFACE, sample, view)[1])
    return blend(rgb, other.astype(np.int32), fixed_point(weight))
