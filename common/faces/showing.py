"""A view of a face of a source, with the other face where the policy mixes two."""

import numpy as np

from common.faces.source import FaceSource
from common.faces.views import Views


def shown_face(
    source: FaceSource, views: Views, sample: int, view: int, rgb: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """uint8 (H,W,3) of one view of a sample, contiguous: what teacher and students see.

    rgb: the sample's decoded picture. out: as `Views.render` has it. Raises DataError where the other face does not
    decode.
    """
    number = source.number(sample)
    other = views.partner(number, view, len(source))
    if other is None:
        return views.render(rgb, number, view, out)
    return views.render(rgb, number, view, out, source.rgb(other))
