"""A world small enough for tests: a few people in the true format, a teacher that is one matrix, a config."""

import hashlib
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from common.config import Config
from common.faces.pixels import encode_jpeg
from common.faces.recordio_dataset import write_recordio_dataset

DIM = 16


def portrait(person: int, photo: int) -> np.ndarray:
    """uint8 (112,112,3): a smooth colour pattern for the person, noise and shift for the photo."""
    own, other = np.random.default_rng([1, person]), np.random.default_rng([2, person, photo])
    small = own.integers(0, 256, (6, 6, 3)).astype(np.float32) + 25 * other.standard_normal((6, 6, 3))
    return np.clip(cv2.resize(small.astype(np.float32), (112, 112), interpolation=cv2.INTER_CUBIC), 0, 255).astype(
        np.uint8
    )


def jpegs(people: int, photos: int, first: int = 0) -> list[list[bytes]]:
    """Encoded portraits, person by person."""
    return [[encode_jpeg(portrait(p, i)) for i in range(photos)] for p in range(first, first + people)]


def write_faces(folder: Path, people: int = 7, photos: int = 5) -> None:
    """A training set in the faces_emore layout."""
    write_recordio_dataset(folder, jpegs(people, photos))


class TinyTeacher:
    """Block means of the pixels through one fixed matrix; counts its calls and can be told to fail."""

    dim, size = DIM, (112, 112)
    runtime: ClassVar[dict[str, Any]] = {"library": "numpy", "device": "cpu"}

    def __init__(self, seed: int = 0, fail_after: int | None = None) -> None:
        self.seed, self.left, self.calls = seed, fail_after, 0
        self.weight = np.random.default_rng(seed).standard_normal((14 * 14 * 3, DIM)).astype(np.float32)

    def embed(self, faces: np.ndarray) -> np.ndarray:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        self.calls += 1
        blocks = faces.reshape(len(faces), 14, 8, 14, 8, 3).astype(np.float32).mean((2, 4)) / 127.5 - 1
        # One row at a time: the result of a face must not depend on its batch.
        return np.stack([row @ self.weight for row in blocks.reshape(len(faces), -1)])

    def embed_swapped(self, faces: np.ndarray) -> np.ndarray:
        return self.embed(faces[..., ::-1])

    def require_unchanged(self) -> None:
        """Its weights are in no file."""

    def describe(self) -> dict[str, Any]:
        return {
            "name": "tiny.onnx",
            "weights_sha256": f"{self.seed:064x}",
            "size": [112, 112],
            "channel_order": "rgb",
            "precision": "float32",
        }


def experiment(**sections: Any) -> Config:
    """A Config over the faces in `data/faces`, with 8-row shards; keyword tables are laid over it."""
    values: dict[str, Any] = {
        "name": "tiny",
        "teacher": "tiny.onnx",
        "faces": {"path": "faces"},
        "cache": {"shard_rows": 8, "chunk_rows": 4, "batch_size": 3},
        "student": {"backbone": "mobilefacenet_0.25", "embedding_size": DIM},
        "train": {"epochs": 2, "batch_size": 8, "lr": 0.05, "lr_batch": 0, "workers": 0, "log_every": 2},
    }
    for name, table in sections.items():
        values[name] = {**values[name], **table} if isinstance(table, dict) and name in values else table
    return Config.model_validate(values)


def enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Make it the working directory, in which caches are of one date."""
    patch.chdir(folder)
    patch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own with `data/faces`; returns it."""
    enter(tmp_path, monkeypatch)
    write_faces(tmp_path / "data" / "faces")
    return tmp_path


def tree(folder: Path) -> dict[str, str]:
    """Every file of a folder with its digest."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
