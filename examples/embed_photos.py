"""Embed a folder of aligned faces with any model, and print who looks like whom.

.venv/bin/python examples/embed_photos.py runs/lfw/student.safetensors photos/ embeddings.npz

A model is an ONNX file, weights in .safetensors or .pth, or a name on the HuggingFace Hub. Faces are aligned to 112x112
as the model's training set was: other crops embed as well, but badly.
"""

import sys
from pathlib import Path

import numpy as np

from common.config import ModelConfig
from common.embeddings import embed_faces
from common.models import open_model
from evaluate.protocols import search

SUFFIXES = (".jpg", ".jpeg", ".png")


def main(weights: str, folder: str, out: str) -> None:
    photos = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    if not photos:
        sys.exit(f"{folder}: no {', '.join(SUFFIXES)} files in it")
    model = open_model(ModelConfig(weights=weights), root=Path("."))

    # The field's convention for verification: a face and its mirror image, summed.
    embeddings = embed_faces(model, [path.read_bytes() for path in photos], name=folder)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    names = [str(path.relative_to(folder)) for path in photos]
    np.savez(out, rows=unit, names=np.array(names))
    print(f"{out}: {len(photos)} faces, {unit.shape[1]} dimensions, by {model.describe()['name']}")

    # Two are asked for: one of them is the face itself.
    cosines, neighbours = search(gallery=unit, probes=unit, k=2)
    for own, name in enumerate(names):
        for other, cosine in zip(neighbours[own], cosines[own], strict=True):
            if other != own:
                print(f"  {name} is nearest to {names[other]}, cosine {cosine:.3f}")
                break


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
