"""Models whose answers are easy to say."""

import numpy as np


class Linear:
    """The embedding is a fixed linear map of the pixels; `batches` counts the faces of each call."""

    def __init__(self, side: int = 8, dim: int = 5):
        self.weight = np.random.default_rng(0).standard_normal((side * side * 3, dim)).astype(np.float32)
        self.batches: list[int] = []

    def embed(self, faces):
        self.batches.append(len(faces))
        return faces.reshape(len(faces), -1).astype(np.float32) @ self.weight
