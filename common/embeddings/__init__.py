"""What a model's embeddings are good for, wherever they come from: computed for many faces, searched, judged.

embedded = embed_with_norms(model, pictures)         mirror images added, lengths kept
scores, rows = search(gallery, probes, k=5)          exact nearest neighbours
cut = choose_cut(model, flip=True)                   the cosine above which two faces are one person's, as calibrated
"""

from common.embeddings.embed import Embedder, Embeddings, embed_faces, embed_with_norms
from common.embeddings.nearest import search
from common.embeddings.neighbours import Faces, nearest_faces
from common.embeddings.thresholds import (
    Cut,
    Row,
    Thresholds,
    choose_cut,
    contract_thresholds,
    protocol_of,
    sidecar_of,
    thresholds_beside,
    write_thresholds,
)

__all__ = [
    "Cut",
    "Embedder",
    "Embeddings",
    "Faces",
    "Row",
    "Thresholds",
    "choose_cut",
    "contract_thresholds",
    "embed_faces",
    "embed_with_norms",
    "nearest_faces",
    "protocol_of",
    "search",
    "sidecar_of",
    "thresholds_beside",
    "write_thresholds",
]
