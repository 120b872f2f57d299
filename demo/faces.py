"""Procedural aligned faces: (person number, photo number) -> 112 x 112 RGB, as an aligner would deliver them.

    from demo.faces import render_face
    rgb = render_face(identity=7, photo=3)

A face is a painted texture on a height field. It is lit, turned (with parallax, so depth matters), aligned by
five noisy landmarks to the usual template, covered and photographed. Nothing here is random twice: every draw
comes from a generator seeded with the two numbers, so any process in any order gives the same pixels.
"""

import cv2
import numpy as np

from demo.camera import background, expose, take
from demo.canvas import CENTER, SCALE
from demo.covers import cover_after, cover_before
from demo.identity import Identity, draw_identity
from demo.photo import Photo, draw_photo
from demo.portrait import back_layer, front_layer, mouth_corner
from demo.relief import STEP, head_relief, height_at, rotation, shade

SIZE = 112
# Where InsightFace-aligned faces have eyes, nose tip and mouth corners (left to right), in pixels.
TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
_BACK_DEPTH = -0.35
# Centres of 2 x 2 pixel blocks: the map is computed there and interpolated, as cv2.resize lays out its samples.
_GRID = np.stack(np.meshgrid(np.arange(0.5, SIZE, 2), np.arange(0.5, SIZE, 2)), -1).astype(np.float32)


def render_face(identity: int, photo: int) -> np.ndarray:
    """uint8 (112, 112, 3) RGB of person `identity` in their photo `photo`; a pure function."""
    who, how = draw_identity(identity), draw_photo(identity, photo)
    rng = np.random.default_rng(how.seed)
    relief = head_relief(who)
    turn = rotation(how.yaw, how.pitch)
    to_image = alignment(who, how, relief, turn)

    front = front_layer(who, how, rng)
    cover_before(front, how, rng)
    bright, gloss = shade(relief, turn.T @ how.light, how.ambient)
    where = _inverse_map(relief, turn, to_image)
    face = _look_up(front, where * STEP, cv2.BORDER_CONSTANT)
    lit = _look_up(np.dstack([bright, gloss]), where, cv2.BORDER_REPLICATE)

    image = background(rng)
    _lay(image, cv2.warpAffine(back_layer(who, how, rng), _flat_map(turn, to_image, _BACK_DEPTH), (SIZE, SIZE)))
    image *= np.float32(0.55 + 0.45 * how.ambient)
    rgb = face[..., :3] * lit[..., :1] + np.float32(24) * lit[..., 1:]
    image += (rgb - image) * (face[..., 3:].astype(np.float32) / 255)
    cover_after(image, who, how, relief, turn, to_image, rng)
    return take(expose(image, how), how, rng)


def alignment(who: Identity, how: Photo, relief: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """(2, 3) similarity from turned head units to pixels, fitted to the template as a face aligner would."""
    corner = mouth_corner(who, how)
    eye, tip = np.array([who.eye_gap, who.eye_height]), np.array([0, who.eye_height + who.nose_length])
    points = np.stack([eye * [-1, 1], eye, tip, corner * [-1, 1], corner])
    seen = project(points, height_at(relief, points), turn) * [how.stretch, 1]
    target = TEMPLATE + how.jitter
    # Least squares over rotation, scale and shift is linear in complex numbers: target = a * seen + b.
    source, goal = seen @ [1, 1j], target @ [1, 1j]
    centred = source - source.mean()
    a = (centred.conj() @ (goal - goal.mean())) / (centred.conj() @ centred)
    b = goal.mean() - a * source.mean()
    return np.array([[a.real * how.stretch, -a.imag, b.real], [a.imag * how.stretch, a.real, b.imag]])


def project(points: np.ndarray, heights: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """(n, 2) head-frame points with their heights to (n, 2) camera-frame coordinates."""
    return points @ turn[:2, :2].T + heights[:, None] * turn[:2, 2]


def _inverse_map(relief: np.ndarray, turn: np.ndarray, to_image: np.ndarray) -> np.ndarray:
    """(112, 112, 2) float32: the sample of the relief that each photo pixel shows.

    A point is where its height puts it, and its height depends on where it is: a few rounds of substitution
    settle it, since the relief is flatter than the view is steep.
    """
    back = np.linalg.inv(to_image[:, :2] @ turn[:2, :2])
    flat = (((_GRID - to_image[:, 2]) @ back.T * SCALE + CENTER) / STEP).astype(np.float32)
    lean = (np.linalg.inv(turn[:2, :2]) @ turn[:2, 2] * SCALE / STEP).astype(np.float32)
    where = flat
    for _ in range(5):
        height = _look_up(relief, where, cv2.BORDER_REPLICATE)
        where = flat - height[..., None] * lean
    return cv2.resize(where, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def _flat_map(turn: np.ndarray, to_image: np.ndarray, depth: float) -> np.ndarray:
    """(2, 3) affine from canvas pixels to photo pixels for a flat layer at one depth."""
    linear = to_image[:, :2] @ turn[:2, :2]
    shift = to_image[:, :2] @ (turn[:2, 2] * depth) + to_image[:, 2]
    return np.column_stack([linear / SCALE, shift - linear @ CENTER / SCALE])


def _look_up(image: np.ndarray, where: np.ndarray, border: int) -> np.ndarray:
    # OpenCV's stubs do not know that a map of pairs needs no second map.
    return cv2.remap(image, where, None, cv2.INTER_LINEAR, borderMode=border)  # type: ignore[call-overload]


def _lay(image: np.ndarray, layer: np.ndarray) -> None:
    image += (layer[..., :3] - image) * (layer[..., 3:].astype(np.float32) / 255)
