"""Photos with given landmarks, for tests of what is done with them: no detector, and no process."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from common.faces import encode_jpeg
from photos.aligner import Aligner
from photos.detect import Found
from photos.pool import Pool
from photos.transform import template

GIVEN = Aligner(detector=None, landmarks_sha256="00")


def snapshot(seed: int, size: tuple[int, int] = (150, 130)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def face_at(*corners: tuple[float, float], scale: float = 0.6) -> Found:
    landmarks = np.array([template((112, 112)) * scale + corner for corner in corners], np.float32)
    boxes = np.array([[x, y, x + 112 * scale, y + 112 * scale] for x, y in corners], np.float32)
    return Found(boxes, landmarks, np.linspace(0.9, 0.5, len(corners), dtype=np.float32))


def write(folder: Path, names: list[str], first: int = 0) -> dict[str, Found]:
    """Photos, and the landmarks of one face in each."""
    for number, name in enumerate(names, first):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode_jpeg(snapshot(number)))
    return {name: face_at((20.0 + number % 7, 30)) for number, name in enumerate(names, first)}


def tree(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(table: pa.Table) -> dict[str, list[tuple]]:
    told: dict[str, list[tuple]] = {}
    for row in table.to_pylist():
        told.setdefault(row["photo"], []).append((row["status"], row["reason"], row["aligned"]))
    return told


def at_once(monkeypatch) -> None:
    """One worker in this process: what it gives is what processes give (below), and no process starts."""
    monkeypatch.setattr(Pool, "run", lambda self, tasks: ((task, self._work(task)) for task in tasks))
