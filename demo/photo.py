"""What differs from photo to photo of one person: pose, expression, light, what hides the face, the camera."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Photo:
    """The circumstances of one photo. Angles are radians, lengths head units or, for the camera, pixels."""

    yaw: float
    pitch: float
    stretch: float
    jitter: np.ndarray  # (5, 2) error of the landmark detector, pixels
    # expression
    smile: float
    mouth_open: float
    brow_raise: float
    eye_close: float
    gaze: float
    # light
    light: np.ndarray  # (3,) unit vector towards the light, camera frame
    ambient: float
    cast: np.ndarray  # (3,) colour of the light
    exposure: float
    contrast: float
    # changes from day to day
    lipstick: float
    shaved: float
    hair_style: int  # 0: as usual
    hair_shift: float
    hair_tone: float
    # occlusion: "", "glasses", "sunglasses", "mask", "hat", "hand"
    covers: tuple[str, ...]
    # camera
    blur: float
    motion: tuple[float, float]
    shrink: float
    noise: float
    jpeg: int
    seed: int  # of the draws that need many values: background, patterns, sensor noise


def draw_photo(identity: int, photo: int) -> Photo:
    """The circumstances of photo `photo` of person `identity`; a pure function of the two numbers."""
    rng = np.random.default_rng(np.random.SeedSequence([2, identity, photo]))
    azimuth, height = rng.uniform(-1.25, 1.25), rng.normal(-0.35, 0.45)
    light = np.array([np.sin(azimuth), height, np.cos(azimuth)])
    covers = [name for name, share in (("hat", 0.07), ("mask", 0.06), ("hand", 0.08)) if rng.random() < share]
    eyewear = rng.random()
    covers += ["glasses"] if eyewear < 0.14 else ["sunglasses"] if eyewear < 0.19 else []
    open_mouth = rng.random() < 0.35
    return Photo(
        yaw=float(np.clip(rng.normal(0, 0.33), -0.72, 0.72)),
        pitch=float(np.clip(rng.normal(0, 0.17), -0.4, 0.4)),
        stretch=float(rng.normal(1, 0.025)),
        jitter=rng.normal(0, 1.3, (5, 2)),
        smile=float(rng.normal(0.25, 0.5)),
        mouth_open=float(rng.uniform(0.1, 1)) if open_mouth else 0.0,
        brow_raise=float(rng.normal(0, 0.5)),
        eye_close=float(rng.uniform(0.5, 1)) if rng.random() < 0.08 else float(rng.uniform(-0.15, 0.3)),
        gaze=float(rng.normal(0, 0.35)),
        light=light / np.linalg.norm(light),
        ambient=float(rng.uniform(0.22, 0.75)),
        cast=np.exp(rng.normal(0, 0.09, 3)),
        exposure=float(np.exp(rng.normal(0.1, 0.2))),
        contrast=float(np.exp(rng.normal(0, 0.2))),
        lipstick=float(max(0.0, rng.uniform(-2, 1))),
        shaved=float(rng.uniform(0, 1)),
        hair_style=int(rng.integers(1, 7)) if rng.random() < 0.25 else 0,
        hair_shift=float(rng.normal(0, 0.16)),
        hair_tone=float(np.exp(rng.normal(0, 0.22))),
        covers=tuple(covers),
        blur=float(max(0.0, rng.normal(0.25, 0.5))),
        motion=(float(rng.uniform(0, np.pi)), float(max(0.0, rng.normal(-2, 3)))),
        shrink=float(rng.uniform(0.3, 0.7)) if rng.random() < 0.3 else 1.0,
        noise=float(abs(rng.normal(0, 6))),
        jpeg=int(rng.integers(35, 96)),
        seed=int(rng.integers(2**63)),
    )
