"""What hides a face: hats and masks on the head, glasses in front of it, a hand before the camera."""

import cv2
import numpy as np

from demo.canvas import curve, fill, mirrored, stroke
from demo.identity import Identity
from demo.photo import Photo
from demo.relief import height_at

_SHIFT = 4  # fractional bits of OpenCV's coordinates


def cover_before(front: np.ndarray, how: Photo, rng: np.random.Generator) -> None:
    """Paint what lies on the head (mask or scarf, hat) into its texture, so that it is lit and turns with it."""
    color, stripe = rng.uniform(25, 235, (2, 3))
    rise, brim = rng.uniform(-0.12, 0.16), rng.uniform(-0.62, -0.36)
    striped = rng.random() < 0.3
    if "mask" in how.covers:
        half = [(0, 0.3 + rise), (0.45, 0.36 + rise), (0.9, 0.3 + rise), (0.95, 0.8), (0.5, 1.25), (0, 1.3)]
        drape = front.copy()
        fill(drape, curve(mirrored(np.array(half))), color)
        for y in (0.62, 0.8) if striped else ():
            stroke(drape, np.array([(-0.8, y), (0, y + 0.06), (0.8, y)]), stripe, 0.05)
        np.copyto(front[..., :3], drape[..., :3], where=front[..., 3:] > 0)
    if "hat" in how.covers:
        half = [(0, -1.4), (0.7, -1.34), (1.0, brim - 0.2), (0.98, brim), (0.5, brim + 0.04), (0, brim + 0.05)]
        fill(front, curve(mirrored(np.array(half))), color[::-1])
        band = np.array([(-0.97, brim), (-0.5, brim + 0.03), (0, brim + 0.04), (0.5, brim + 0.03), (0.97, brim)])
        stroke(front, band, stripe, 0.07 if striped else 0.03)


def cover_after(
    image: np.ndarray,
    who: Identity,
    how: Photo,
    relief: np.ndarray,
    turn: np.ndarray,
    to_image: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Draw glasses (standing off the face, so they move with the pose) and hands into the photo, in place."""
    tone, width, squareness = rng.uniform(10, 110, 3), rng.uniform(0.19, 0.26), rng.uniform(2, 5)
    if "glasses" in how.covers or "sunglasses" in how.covers:
        to_photo = to_image[:, :2] @ turn[:2]

        def place(points: np.ndarray, off: float) -> np.ndarray:
            heights = np.maximum(height_at(relief, points), 0.0) * 0.4 + off
            seen = np.column_stack([points, heights]) @ to_photo.T + to_image[:, 2]
            return np.round(seen * (1 << _SHIFT)).astype(np.int32)

        lenses, bridge, arms = _glasses(who, width, squareness)
        rims = [place(lens, 0.47) for lens in lenses]
        if "sunglasses" in how.covers:
            dark = image.copy()
            cv2.fillPoly(dark, rims, tuple(tone * 0.5), cv2.LINE_AA, _SHIFT)
            cv2.addWeighted(dark, 0.9, image, 0.1, 0, image)
        frame = [place(bridge, 0.47), *(place(arm, 0.3) for arm in arms)]
        thick = 1 + int(squareness > 3.2)
        cv2.polylines(image, rims, True, tuple(tone), thick, cv2.LINE_AA, _SHIFT)
        cv2.polylines(image, frame, False, tuple(tone), thick, cv2.LINE_AA, _SHIFT)
    if "hand" in how.covers:
        _hand(image, rng)


def _glasses(who: Identity, width: float, squareness: float) -> tuple[list[np.ndarray], np.ndarray, list[np.ndarray]]:
    """Two lenses (superellipses), the bridge and two arms, each (n, 2) in head units."""
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    power = 2 / squareness
    rim = np.stack([np.sign(c) * abs(c) ** power, 0.72 * np.sign(s) * abs(s) ** power], 1) * width
    eyes = [np.array([side * who.eye_gap, who.eye_height]) for side in (-1, 1)]
    outer, inner = who.eye_gap + width, who.eye_gap - width
    bridge = np.array([(-inner, -0.02), (0, -0.05), (inner, -0.02)]) + np.array([0, who.eye_height])
    arms = [np.array([(side * outer, who.eye_height), (side * 0.98, who.eye_height)]) for side in (-1, 1)]
    return [rim + eye + np.array([0, 0.02]) for eye in eyes], bridge, arms


def _hand(image: np.ndarray, rng: np.random.Generator) -> None:
    """Three or four fingers that reach into the picture from one side."""
    side = rng.choice([-1, 1])
    angle = rng.uniform(-0.9, 0.9)
    skin = np.array([225, 180, 155]) * rng.uniform(0.4, 1.05)
    along = np.array([-side * np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    tip = np.array([56 + side * rng.uniform(8, 34), rng.uniform(60, 100)])
    for finger in range(int(rng.integers(2, 5))):
        end = tip + across * finger * 11 - along * 4 * abs(finger - 1)
        ends = [[int(v * (1 << _SHIFT)) for v in point] for point in (end, end - along * 90)]
        for width, color in ((12, skin * 0.62), (10, skin)):
            cv2.line(image, ends[0], ends[1], tuple(color), width, cv2.LINE_AA, _SHIFT)
