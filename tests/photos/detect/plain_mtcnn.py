"""MTCNN's cascade as AdaFace's inference runs it, face by face in plain loops: what lies between the networks.

The networks are called as they are (their numbers are held by numpy_network.py).
"""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

Networks = tuple[Callable[[np.ndarray], list[np.ndarray]], ...]
Box = list[float]


def plain_faces(rgb: np.ndarray, networks: Networks) -> list[tuple[Box, list[tuple[float, float]], float]]:
    """(box, five points, score) of each face, best first."""
    proposals, refinement, output = networks
    picture = Image.fromarray(rgb)
    candidates: list[tuple[Box, float, list[float]]] = []
    scale = 12 / 20
    while min(picture.size) * scale > 12:
        candidates += at_scale(picture, scale, proposals)
        scale *= 0.85
    boxes = [square(shifted(box, offsets)) for box, _, offsets in survivors(candidates, 0.7)]

    likely = []
    for box in boxes:
        offsets, probabilities = refinement(window(picture, box, 24))
        if probabilities[0, 1] > 0.7:
            likely.append((box, float(probabilities[0, 1]), offsets[0].tolist()))
    boxes = [square(shifted(box, offsets)) for box, _, offsets in survivors(likely, 0.7)]

    found = []
    for box in boxes:
        offsets, points, probabilities = output(window(picture, box, 48))
        if probabilities[0, 1] > 0.9:
            width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
            face = [(box[0] + width * points[0, k], box[1] + height * points[0, 5 + k]) for k in range(5)]
            found.append((shifted(box, offsets[0].tolist()), float(probabilities[0, 1]), face))
    return [(box, face, score) for box, score, face in survivors(found, 0.7, smaller=True)]


def at_scale(picture: Image.Image, scale: float, network: Callable[[np.ndarray], list[np.ndarray]]) -> list:
    size = math.ceil(picture.width * scale), math.ceil(picture.height * scale)
    offsets, probabilities = network(entering(picture.resize(size, Image.Resampling.BILINEAR)))
    found = []
    for column in range(probabilities.shape[1]):
        for row in range(probabilities.shape[2]):
            score = float(probabilities[0, column, row, 1])
            if score > 0.6:
                x, y = 2 * column + 1, 2 * row + 1
                box = [float(np.round(at / scale)) for at in (x, y, x + 12, y + 12)]
                found.append((box, score, offsets[0, column, row].tolist()))
    return survivors(found, 0.5)


def survivors(found: list, overlap: float, smaller: bool = False) -> list:
    kept: list = []
    for one in sorted(found, key=lambda one: -one[1]):
        if all(shared(one[0], other[0], smaller) <= overlap for other in kept):
            kept.append(one)
    return kept


def shared(a: Box, b: Box, smaller: bool) -> float:
    sides = [max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k]) + 1) for k in (0, 1)]
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    common = sides[0] * sides[1]
    return common / (min(areas) if smaller else sum(areas) - common)


def shifted(box: Box, offsets: list[float]) -> Box:
    sides = [box[2] - box[0] + 1, box[3] - box[1] + 1]
    return [box[k] + offsets[k] * sides[k % 2] for k in range(4)]


def square(box: Box) -> Box:
    width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
    side = max(width, height)
    x, y = box[0] + width / 2 - side / 2, box[1] + height / 2 - side / 2
    return [float(np.round(at)) for at in (x, y, x + side - 1, y + side - 1)]


def window(picture: Image.Image, box: Box, side: int) -> np.ndarray:
    x0, y0, x1, y1 = map(int, box)
    cut = Image.new("RGB", (x1 - x0 + 1, y1 - y0 + 1))
    cut.paste(picture, (-x0, -y0))
    return entering(cut.resize((side, side), Image.Resampling.BILINEAR))


def entering(picture: Image.Image) -> np.ndarray:
    pixels = (np.asarray(picture, np.float32) - 127.5) / 128
    return np.ascontiguousarray(pixels.transpose(1, 0, 2)[np.newaxis])
