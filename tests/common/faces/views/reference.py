"""Reference digests of rendered views: `python -m tests.common.faces.views.reference` prints what this machine makes.

The stored numbers are fixed for ever, since caches are bound to the pixels behind them.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.faces.views import Views, pixel_digest

STORED = Path(__file__).parents[3] / "golden" / "views.json"
ALWAYS = {"crop_probability": 1.0, "photometric_probability": 1.0, "low_resolution_probability": 1.0}
CASES = {
    "none": Views("none"),
    "flip": Views("flip"),
    "adaface": Views("adaface", seed=3, count=24),
    "flip+adaface": Views("flip+adaface", seed=2**40 + 3, count=24),
    "adaface, every operation": Views("adaface", seed=3, count=64, **ALWAYS),
    "randaugment": Views("randaugment", seed=3, count=48),
    "flip+randaugment, strong": Views(
        "flip+randaugment", 2**40 + 3, 24, randaugment_operations=4, randaugment_magnitude=10, randaugment_geometry=1
    ),
}
MIXED = {"mixface": Views("mixface", seed=3, count=16), "flip+mixface": Views("flip+mixface", 2**40 + 3, 16)}
SIZES = ((112, 112), (112, 96), (61, 133))


def picture(height: int, width: int) -> np.ndarray:
    """uint8 (H,W,3): gradients, edges and full black and white, by integer arithmetic alone."""
    y, x, c = np.mgrid[:height, :width, :3]
    return ((x * (2 + c) + y * (5 - 2 * c) + 90 * ((x // 16 + y // 9) % 2) + x * y // (7 + 5 * c)) % 256).astype(
        np.uint8
    )


def stored() -> Iterator[tuple[str, list[int]]]:
    """CRC-32 of every view of sample 17, case by case; of mixtures with whom, too."""
    for height, width in SIZES:
        rgb = picture(height, width)
        for name, views in CASES.items():
            yield f"{height}x{width} {name}", [pixel_digest(views.render(rgb, 17, v)) for v in range(views.count)]
        other = 255 - rgb[::-1]
        for name, views in MIXED.items():
            digests = [pixel_digest(views.render(rgb, 17, v, other=other)) for v in range(views.count)]
            partners = [views.partner(17, v, 5_822_653) or 0 for v in range(views.count)]
            yield f"{height}x{width} {name}", [*digests, *partners]


if __name__ == "__main__":
    print("{\n" + ",\n".join(f"{json.dumps(name)}: {values}" for name, values in stored()) + "\n}")
