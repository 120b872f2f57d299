"""What a cache holds, and the faces its teacher is least sure of.

.venv/bin/python examples/read_cache.py caches/lfw
"""

import sys

import numpy as np

from cache.reader import TeacherCache

SHOWN = 10


def main(path: str) -> None:
    cache = TeacherCache(path)
    teacher = cache.manifest["teacher"]["name"]
    print(f"{path}: {len(cache):,} faces of {cache.num_classes:,} people, {cache.views} views, by {teacher}")

    # A number a face fits into memory for any set; embeddings (6 GB for MS1MV2 in float16) are gathered in batches.
    samples = np.setdiff1d(np.arange(len(cache)), cache.skipped)
    confidence = cache.confidence(samples, 0)
    print(f"cosine of a face with its class centre: mean {confidence.mean():.3f}")

    print("least sure of")
    for sample in samples[np.argsort(confidence)[:SHOWN]]:
        f_t = cache.gather(np.array([sample]), 0)[0]
        to_centers = cache.centers @ f_t
        own, nearest = cache.labels[sample], to_centers.argmax()
        verdict = "its own class is the nearest" if own == nearest else f"class {nearest} is nearer"
        print(f"  face {sample}, class {own}: {to_centers[own]:.3f}, {verdict}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
