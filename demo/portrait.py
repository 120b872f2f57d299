"""The colours of one head in one photo, painted frontally before the light falls and the head turns."""

import cv2
import numpy as np

from demo.canvas import SIZE, curve, disc, fill, mask, mirrored, stroke, tint, to_pixels
from demo.identity import Identity
from demo.photo import Photo


def outline(who: Identity) -> np.ndarray:
    """(m, 2) closed contour of skull, cheeks and chin."""
    half = [
        (0, -1.22), (who.forehead * 0.62, -1.12), (who.forehead, -0.66), (who.cheek, -0.05), (who.cheek * 0.95, 0.32),
        (who.jaw, who.jaw_height), (who.chin_width, who.chin - 0.05), (0, who.chin),
    ]  # fmt: skip
    return curve(mirrored(np.array(half)))


def mouth_corner(who: Identity, photo: Photo) -> np.ndarray:
    """(2,) right corner of the mouth with this smile."""
    return np.array([who.mouth_width * (1 + 0.16 * photo.smile), who.mouth_height - 0.055 * photo.smile])


def back_layer(who: Identity, photo: Photo, rng: np.random.Generator) -> np.ndarray:
    """(SIZE, SIZE, 4) uint8: what stands behind the face: neck, clothes, ears, long hair."""
    image = np.zeros((SIZE, SIZE, 4), np.uint8)
    hair, style = hair_color(who, photo), hair_style(who, photo)
    wide = who.cheek + who.hair_volume + 0.06
    if style in (2, 3, 5):
        length = (1.45, 1.0, 0.75)[(2, 3, 5).index(style)] + 0.2 * photo.hair_shift
        half = [
            (0, -1.33), (0.55, -1.25), (wide, -0.6), (wide + 0.05, 0.1), (wide + 0.02, length), (0.3, length + 0.05)
        ]  # fmt: skip
        fill(image, curve(mirrored(np.array(half))), hair * 0.72)
    neck = np.array([(-0.46, 0.6), (0.46, 0.6), (0.5, 1.5), (-0.5, 1.5)])
    fill(image, neck, who.skin * 0.72)
    clothes = rng.uniform(20, 220, 3)
    collar = np.array([(-1.5, 1.5), (-0.85, 1.24), (-0.42, 1.2), (0, 1.36), (0.42, 1.2), (0.85, 1.24), (1.5, 1.5)])
    fill(image, curve(collar, closed=False), clothes)
    if style not in (2, 3):
        ear = np.array([(0, -0.5), (0.16, -0.42), (0.18, 0), (0.1, 0.42), (0, 0.5)]) * np.array([1, who.ear_size * 2])
        for side in (-1, 1):
            middle = np.array([side * (who.cheek - 0.04), who.ear_height])
            fill(image, curve(ear * [side, 1] + middle), who.skin * 0.86)
            stroke(image, curve(ear[1:4] * [side * 0.6, 0.7] + middle, closed=False), who.skin * 0.66, 0.02)
    return image


def hair_color(who: Identity, photo: Photo) -> np.ndarray:
    return np.clip(who.hair * photo.hair_tone, 8, 245)


def hair_style(who: Identity, photo: Photo) -> int:
    """0 bald, 1 short, 2 long and back, 3 long and parted, 4 short and parted, 5 bob, 6 short with a fringe."""
    return photo.hair_style if who.hair_style and photo.hair_style else who.hair_style


def front_layer(who: Identity, photo: Photo, rng: np.random.Generator) -> np.ndarray:
    """(SIZE, SIZE, 4) uint8: skin, features and hair of the head itself; alpha is its silhouette."""
    image = np.zeros((SIZE, SIZE, 4), np.uint8)
    style, hair = hair_style(who, photo), hair_color(who, photo)
    bald = style == 0
    if not bald:
        crown = np.array([(0, -1.24 - who.hair_volume), (0.52, -1.16 - who.hair_volume), (who.forehead + 0.13, -0.72),
                          (who.forehead + 0.10, -0.3), (who.forehead, -0.1), (0, 0)])  # fmt: skip
        fill(image, curve(mirrored(crown)), hair)
    face = outline(who)
    if bald:
        fill(image, face, who.skin)
    else:
        _face_below_hairline(image, who, face)
    _skin_marks(image, who, photo, rng)
    _nose(image, who)
    _mouth(image, who, photo)
    for side in (-1, 1):
        _eye(image, who, photo, side)
        _brow(image, who, photo, side)
    if not bald:
        _fringe(image, who, photo, style, hair)
        _strands(image, hair, rng)
    return image


def _face_below_hairline(image: np.ndarray, who: Identity, face: np.ndarray) -> None:
    below = face[face[:, 1] > who.hairline + 0.1]
    right, left = below[below[:, 0] >= 0], below[below[:, 0] < 0]
    top = np.array([(-who.forehead * 0.86, who.hairline + 0.12), (-who.forehead * 0.5, who.hairline - 0.04),
                    (0, who.hairline + who.widows_peak), (who.forehead * 0.5, who.hairline - 0.04),
                    (who.forehead * 0.86, who.hairline + 0.12)])  # fmt: skip
    fill(image, np.concatenate([curve(top, closed=False), right, left]), who.skin)


def _skin_marks(image: np.ndarray, who: Identity, photo: Photo, rng: np.random.Generator) -> None:
    cheeks = np.zeros((SIZE, SIZE), np.uint8)
    for side in (-1, 1):
        disc(cheeks, (side * 0.5, 0.3), 0.24, 70.0)
    tint(image, cv2.blur(cheeks, (19, 19)).astype(np.float32) / 255, who.skin * [0.95, 0.66, 0.62])
    own = np.random.default_rng(np.random.SeedSequence([3, who.number]))
    if who.freckles > 0.05:
        for x, y in own.normal((0, 0.22), (0.34, 0.17), (int(70 * who.freckles), 2)):
            disc(image, (x, y), 0.012, who.skin * [0.78, 0.70, 0.64])
    for x, y, radius in who.spots:
        disc(image, (x, y), radius, who.skin * [0.45, 0.38, 0.36])
    depth = 0.30 + 0.1 * photo.smile
    for side in (-1, 1):
        fold = np.array(
            [
                (who.nose_width + 0.03, who.eye_height + who.nose_length - 0.02),
                (who.mouth_width + 0.06, who.mouth_height - 0.15),
                (who.mouth_width + 0.1, who.mouth_height),
            ]
        )
        strength = np.clip(who.fold + 0.5 * max(photo.smile, 0), 0, 1.2) * depth
        stroke(image, curve(fold * [side, 1], closed=False), who.skin * (1 - strength), 0.02)
    growth = who.beard * (0.35 + 0.65 * (photo.shaved > 0.35))
    if growth > 0.15:
        half = [
            (0.2, who.mouth_height - 0.17),
            (who.mouth_width + 0.1, who.mouth_height - 0.05),
            (who.cheek, 0.3),
            (who.jaw + 0.1, who.jaw_height),
            (who.chin_width + 0.1, who.chin + 0.05),
            (0, who.chin + 0.1),
        ]
        beard = mask(curve(mirrored(np.array([(0, who.mouth_height - 0.15), *half]))), 9)
        grain = rng.uniform(0.7, 1.0, (SIZE, SIZE)).astype(np.float32)
        tint(image, beard * grain * np.float32(min(0.75, growth)), who.hair * 0.8)


def _nose(image: np.ndarray, who: Identity) -> None:
    tip = who.eye_height + who.nose_length
    for side in (-1, 1):
        disc(image, (side * 0.52 * who.nose_width, tip + 0.055), who.nostril, who.skin * 0.42)
        wing = np.array([(0.78, -0.04), (1.04, 0.02), (0.85, 0.065)]) * [side * who.nose_width, 1] + [0, tip]
        stroke(image, curve(wing, closed=False), who.skin * 0.72, 0.02)
    below = np.array([(-0.5 * who.nose_width, tip + 0.075), (0.5 * who.nose_width, tip + 0.075)])
    stroke(image, below, who.skin * 0.74, 0.02)


def _mouth(image: np.ndarray, who: Identity, photo: Photo) -> None:
    corner = mouth_corner(who, photo)
    gap = 0.15 * photo.mouth_open
    middle = who.mouth_height - 0.3 * gap
    drawn_lips = who.lips + (np.array([170, 40, 60.0]) - who.lips) * 0.75 * photo.lipstick
    inner_top, inner_low = middle, middle + gap + 0.012
    top = middle - who.upper_lip
    low = inner_low + who.lower_lip
    sides = np.array([-1.0, 1.0])
    contour = np.array([corner * sides, (-0.07, top), (0, top + who.cupid), (0.07, top), corner, (0.13, low - 0.012),
                        (0, low), (-0.13, low - 0.012)])  # fmt: skip
    fill(image, curve(contour), drawn_lips)
    opening = np.array(
        [corner * sides * 0.985, (0, inner_top), corner * [0.985, 1], (0.1, inner_low), (-0.1, inner_low)]
    )
    if gap > 0.03:
        fill(image, curve(opening), np.array([60, 24, 28.0]))
        teeth = np.array([(-0.16, inner_top + 0.005), (0.16, inner_top + 0.005), (0.13, inner_top + 0.45 * gap),
                          (-0.13, inner_top + 0.45 * gap)])  # fmt: skip
        fill(image, curve(teeth), np.array([226, 222, 212.0]))
    else:
        stroke(image, curve(opening[:3], closed=False), drawn_lips * 0.45, 0.018)


def _eye(image: np.ndarray, who: Identity, photo: Photo, side: int) -> None:
    opening = who.eye_open * np.clip(1 - photo.eye_close + 0.12 * photo.brow_raise - 0.1 * photo.smile, 0.06, 1.4)
    tilt = np.array([[np.cos(who.eye_tilt), np.sin(who.eye_tilt)], [-np.sin(who.eye_tilt), np.cos(who.eye_tilt)]])
    along = np.array([-1, -0.45, 0.3, 1, 0.35, -0.45]) * who.eye_width
    shape = np.stack([along, np.array([0, -1, -1.08, 0, 0.72, 0.75]) * opening], 1)
    shape[0, 1] = 0.012
    place = np.array([side * who.eye_gap, who.eye_height])

    def put(points: np.ndarray) -> np.ndarray:
        return (points @ tilt.T) * [side, 1] + place

    # The whole almond is painted on a copy and kept only inside it, so that the lid covers the iris.
    lids = curve(put(shape))
    inside = np.zeros((SIZE, SIZE), np.uint8)
    fill(inside, lids, 255.0)
    x0, y0 = np.floor(to_pixels(lids.min(0))).astype(int) - 2
    x1, y1 = np.ceil(to_pixels(lids.max(0))).astype(int) + 3
    ball = image.copy()
    fill(ball, lids, np.array([232, 228, 222.0]))
    iris = (float(place[0] + 0.35 * who.eye_width * photo.gaze), float(place[1] - 0.15 * who.eye_open))
    disc(ball, iris, who.iris, who.eyes * 0.6)
    disc(ball, iris, who.iris * 0.84, who.eyes)
    disc(ball, iris, who.iris * 0.42, np.array([14, 12, 14.0]))
    disc(ball, (iris[0] - 0.02, iris[1] - 0.025), 0.016, np.array([250, 250, 250.0]))
    window = (slice(y0, y1), slice(x0, x1))
    weight = inside[window][..., None].astype(np.float32) / 255
    image[window] = image[window] + (ball[window].astype(np.float32) - image[window]) * weight
    upper = curve(put(shape[:4]), closed=False)
    stroke(image, upper, who.skin * 0.22, 0.028)
    stroke(image, curve(put(shape[[3, 4, 5, 0]]), closed=False), who.skin * 0.62, 0.012)
    stroke(image, upper - [0, who.lid_fold], who.skin * 0.68, 0.018)


def _brow(image: np.ndarray, who: Identity, photo: Photo, side: int) -> None:
    lift = who.brow_gap + 0.035 * photo.brow_raise
    half = who.brow_length
    arch = who.brow_arch
    ridge = np.array([(-half, 0.012), (-0.35 * half, -0.5 * arch), (0.3 * half, -arch), (half, 0.035)])
    thick = who.brow_thickness * np.array([0.55, 0.95, 0.7, 0.12])
    frown = np.array([0.03 * min(photo.brow_raise, 0), 0])
    turn = np.array([[1, 0], [who.brow_tilt, 1]])
    shape = np.concatenate([ridge - np.stack([0 * thick, thick], 1), (ridge + np.stack([0 * thick, thick], 1))[::-1]])
    place = np.array([side * (who.eye_gap + 0.015), who.eye_height - lift])
    color = who.skin + (np.clip(who.hair * 0.8, 0, 150) - who.skin) * np.clip(who.brow_darkness, 0.3, 0.95)
    fill(image, curve((shape @ turn.T + frown) * [side, 1] + place), color)


def _fringe(image: np.ndarray, who: Identity, photo: Photo, style: int, hair: np.ndarray) -> None:
    """Hair that falls over the forehead: none, swept from a parting, or straight across."""
    if style in (1, 2):
        return
    wide = who.forehead + 0.08
    if style in (3, 4):
        part, root = np.clip(who.parting + photo.hair_shift, -0.55, 0.55), who.hairline
        right = [(wide, -0.6), (wide * 0.97, -0.28), ((part + wide) / 2, root + 0.07), (part, root - 0.12)]
        left = [((part - wide) / 2, root + 0.07), (-wide * 0.97, -0.28), (-wide, -0.6)]
    else:
        low, slope = who.eye_height - who.brow_gap - 0.22 + 0.1 * photo.hair_shift, 0.06 * who.parting
        right = [(wide, -0.5), (0.5, low + slope), (0, low + 0.04)]
        left = [(-0.5, low - slope), (-wide, -0.5)]
    fill(image, curve(np.array([(0, -1.2), (wide * 0.8, -1.0), *right, *left, (-wide * 0.8, -1.0)])), hair)


def _strands(image: np.ndarray, hair: np.ndarray, rng: np.random.Generator) -> None:
    """Vertical streaks wherever the picture still has the colour of the hair."""
    top = image[: SIZE * 3 // 4]
    near = cv2.inRange(top, np.array([*(hair - 3), 0.0]), np.array([*(hair + 3), 255.0]))
    streaks = cv2.resize(1 + 0.16 * rng.standard_normal((8, SIZE), np.float32), top.shape[1::-1])
    cv2.copyTo(cv2.multiply(top, cv2.merge([streaks] * 3 + [np.ones_like(streaks)]), dtype=cv2.CV_8U), near, top)
