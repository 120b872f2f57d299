"""Are the colours of points told apart, in light and dark, with any colour vision?"""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import ablate.page

CSS = Path(ablate.page.__file__).with_name("page.css").read_text()
# Linear sRGB as it is seen with no red or no green cones: Machado, Oliveira and Fernandes, 2009, severity 1.
VISION = {
    "normal": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def colours(name: str) -> list[np.ndarray]:
    """Linear RGB (3,) of --NAME in light and dark."""
    found = re.search(rf"--{name}: light-dark\((#\w+), (#\w+)\)", CSS)
    assert found is not None
    coded = [np.array([int(text[place : place + 2], 16) / 255 for place in (1, 3, 5)]) for text in found.groups()]
    return [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in coded]


def lab(linear: np.ndarray) -> np.ndarray:
    ratio = TO_XYZ @ np.clip(linear, 0, 1) / WHITE
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize(("vision", "apart"), [("normal", 35), ("no red", 25), ("no green", 25)])
@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_any_two_points_have_colours_far_apart(theme: int, vision: str, apart: float) -> None:
    seen = [lab(np.asarray(VISION[vision]) @ colours(f"c{number}")[theme]) for number in range(7)]
    near = [
        (first, second)
        for first, second in combinations(range(7), 2)
        if np.linalg.norm(seen[first] - seen[second]) < apart
    ]
    assert near == []


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_colour_stands_out_from_the_paper(theme: int) -> None:
    paper = TO_XYZ[1] @ colours("card")[theme]
    for number in range(7):
        light = TO_XYZ[1] @ colours(f"c{number}")[theme]
        assert (max(light, paper) + 0.05) / (min(light, paper) + 0.05) >= 2.4
