"""Who somebody is: the traits that every photo of one procedural person shares.

Lengths are in head units (a typical half-width of a face is 0.85, origin between the eyes' height and the nose
bridge, x to the right of the picture, y down, z towards the camera). Typical proportions were chosen so that
the usual five-point alignment to 112 x 112 shows the face from hairline to chin.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

HAIR_TONES = np.array([(28, 24, 26), (58, 40, 30), (96, 66, 42), (150, 110, 64), (196, 164, 110), (134, 62, 34),
                       (150, 148, 146)], np.float32)  # fmt: skip
IRIS_TONES = np.array([(58, 36, 22), (92, 60, 32), (112, 104, 58), (78, 112, 132), (96, 138, 176), (88, 122, 84)],
                      np.float32)  # fmt: skip
SKIN_LIGHT, SKIN_DARK = np.array([244, 208, 184], np.float32), np.array([104, 66, 48], np.float32)

_SPOT_RANGES = ((-0.6, 0.6), (-0.5, 0.95), (0.016, 0.03))  # x, y, radius


@dataclass(frozen=True, eq=False)  # compared and hashed as an object: it holds arrays
class Identity:
    """One person. Colours are float RGB in 0..255; relief amounts are heights in head units."""

    number: int
    # outline
    forehead: float
    cheek: float
    jaw: float
    jaw_height: float
    chin_width: float
    chin: float
    hairline: float
    widows_peak: float
    # eyes and brows
    eye_gap: float
    eye_height: float
    eye_width: float
    eye_open: float
    eye_tilt: float
    lid_fold: float
    iris: float
    brow_gap: float
    brow_thickness: float
    brow_length: float
    brow_arch: float
    brow_tilt: float
    # nose, mouth, ears
    nose_length: float
    nose_width: float
    nose_bridge: float
    nose_height: float
    nostril: float
    mouth_height: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    cupid: float
    ear_size: float
    ear_height: float
    # relief under the light
    cheekbone: float
    brow_ridge: float
    socket: float
    chin_relief: float
    fold: float
    # colours and marks
    skin: np.ndarray
    hair: np.ndarray
    eyes: np.ndarray
    lips: np.ndarray
    brow_darkness: float
    hair_style: int
    hair_volume: float
    parting: float
    beard: float
    freckles: float
    spots: np.ndarray  # (n, 3): x, y, radius of moles


@lru_cache(maxsize=64)
def draw_identity(number: int) -> Identity:
    """The person with this number; a pure function (the memo only saves work within one person's photos)."""
    rng = np.random.default_rng(np.random.SeedSequence([1, number]))

    def vary(mean: float, spread: float) -> float:
        return mean + spread * float(np.clip(rng.standard_normal(), -2.2, 2.2))

    tone = rng.beta(1.3, 1.5)
    skin = SKIN_LIGHT + (SKIN_DARK - SKIN_LIGHT) * tone + rng.normal(0, 5, 3)
    hair_weights = np.array([3.0, 3, 2, 1.5, 1, 0.8, 0.9]) if tone < 0.55 else np.array([6.0, 2, 0.6, 0, 0, 0, 0.8])
    hair = HAIR_TONES[rng.choice(len(HAIR_TONES), p=hair_weights / hair_weights.sum())] * vary(1, 0.12)
    eye_weights = np.array([2.0, 2, 1, 1, 1, 0.7]) if tone < 0.5 else np.array([6.0, 3, 0.6, 0.1, 0.1, 0.2])
    eyes = IRIS_TONES[rng.choice(len(IRIS_TONES), p=eye_weights / eye_weights.sum())] * vary(1, 0.12)
    moles = int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1]))
    return Identity(
        number=number,
        forehead=vary(0.74, 0.045),
        cheek=vary(0.86, 0.05),
        jaw=vary(0.66, 0.06),
        jaw_height=vary(0.70, 0.05),
        chin_width=vary(0.27, 0.05),
        chin=vary(1.13, 0.06),
        hairline=vary(-0.74, 0.07),
        widows_peak=vary(0.0, 0.06),
        eye_gap=vary(0.37, 0.022),
        eye_height=vary(-0.10, 0.03),
        eye_width=vary(0.185, 0.018),
        eye_open=vary(0.088, 0.016),
        eye_tilt=vary(0.03, 0.09),
        lid_fold=vary(0.05, 0.02),
        iris=vary(0.086, 0.008),
        brow_gap=vary(0.185, 0.032),
        brow_thickness=vary(0.042, 0.014),
        brow_length=vary(0.235, 0.022),
        brow_arch=vary(0.045, 0.028),
        brow_tilt=vary(0.03, 0.09),
        nose_length=vary(0.49, 0.045),
        nose_width=vary(0.165, 0.026),
        nose_bridge=vary(0.075, 0.016),
        nose_height=vary(0.25, 0.05),
        nostril=vary(0.033, 0.008),
        mouth_height=vary(0.72, 0.035),
        mouth_width=vary(0.285, 0.032),
        upper_lip=vary(0.048, 0.016),
        lower_lip=vary(0.068, 0.018),
        cupid=vary(0.016, 0.010),
        ear_size=vary(0.24, 0.03),
        ear_height=vary(0.10, 0.04),
        cheekbone=vary(0.05, 0.035),
        brow_ridge=vary(0.045, 0.025),
        socket=vary(0.075, 0.030),
        chin_relief=vary(0.06, 0.035),
        fold=vary(0.35, 0.25),
        skin=skin,
        hair=np.clip(hair, 12, 235),
        eyes=np.clip(eyes, 15, 220),
        lips=skin * np.array([0.82, 0.60, 0.60]) * vary(1, 0.07),
        brow_darkness=vary(0.62, 0.14),
        hair_style=int(rng.integers(0, 7)),
        hair_volume=vary(0.13, 0.045),
        parting=vary(0.0, 0.28),
        beard=float(max(0.0, rng.uniform(-1.3, 1.0))),
        freckles=float(max(0.0, rng.uniform(-1.6, 1.0))),
        spots=np.stack([rng.uniform(low, high, moles) for low, high in _SPOT_RANGES], 1),
    )
