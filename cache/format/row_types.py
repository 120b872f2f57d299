"""Storage types of embeddings: unit float32 rows to what is stored, and back.

float32 and float16 are stored as they are. int8 keeps q = round(127 x / max|x|) and the scale 1 / ||q||, so that the
row scale * q has unit length whatever rounding did to its direction.
"""

import numpy as np
import torch


def to_stored(rows: np.ndarray, dtype: str) -> dict[str, np.ndarray]:
    """Unit rows float32 (B,D) as the arrays `embedding` (B,D) and, for int8, `scale` float32 (B,).

    A row of NaN (a picture that was skipped) becomes zeros with the scale NaN in int8.
    """
    if dtype != "int8":
        return {"embedding": rows.astype(dtype)}
    peak = np.abs(rows).max(axis=1, keepdims=True)
    whole = np.rint(np.nan_to_num(rows * (127 / peak))).astype(np.int8)
    length = np.linalg.norm(whole.astype(np.float64), axis=1)
    scale = np.divide(1, length, out=np.full(len(rows), np.nan), where=length > 0)
    return {"embedding": whole, "scale": scale.astype(np.float32)}


def from_stored(embedding: np.ndarray, scale: np.ndarray | None) -> np.ndarray:
    """Rows float32 (B,D) of stored ones; scale: (B,) of an int8 store, else None."""
    # torch converts float16 twenty times faster than NumPy.
    rows = torch.from_numpy(embedding).to(torch.float32).numpy()
    return rows if scale is None else rows * scale[:, None]
