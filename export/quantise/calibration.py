"""Ranges of activations, from training faces as the student saw them: its own rendering, never evaluation's faces."""

import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import create_calibrator

from common.config import Config
from common.errors import DataError
from common.faces import Views, epoch_order, open_faces, shown_face, view_numbers
from common.models import fit
from export.quantise.static import OPERATIONS
from export.session import Session

Method = Literal["minmax", "percentile", "entropy"]
_METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
BATCH = 16


def calibration_faces(config: Config, root: Path, count: int, size: tuple[int, int]) -> np.ndarray:
    """uint8 (count,H,W,3): training faces in the order of epoch 0, each in the view that epoch shows.

    Pictures that do not decode are passed over; fewer faces than `count` give all there are.
    """
    source, views = open_faces(config, root), Views.of(config.views)
    seed = config.train.seed
    samples = epoch_order(len(source), 0, seed)
    shown = view_numbers(samples, 0, views.seed, seed, views.count)
    faces: list[np.ndarray] = []
    for sample, view in zip(samples, shown, strict=True):
        if len(faces) == count:
            break
        try:
            face = shown_face(source, views, int(sample), int(view), source.rgb(int(sample)))
        except DataError:
            continue  # whether it may be left out is stage one's question
        faces.append(fit(face[np.newaxis], size)[0])
    if not faces:
        raise DataError(f"{root / config.faces.path}: no face decodes, and calibration needs some")
    return np.stack(faces)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, graph: onnx.ModelProto, faces: np.ndarray) -> None:
        session = Session(graph)
        self._feeds = (session.feed(faces[at : at + BATCH]) for at in range(0, len(faces) // BATCH * BATCH, BATCH))

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def ranges_of(graph: onnx.ModelProto, faces: np.ndarray, method: Method, percentile: float = 99.999) -> Any:
    """Ranges of every tensor (onnxruntime's TensorsData) over uint8 faces (N,H,W,3); N above `BATCH` is rounded down.

    `percentile` keeps that share of values, in percent; `entropy` minimises the KL divergence of histograms.
    """
    assert len(faces) >= BATCH or method == "minmax"
    options = {"percentile": percentile, "num_bins": 2048} if method == "percentile" else {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(graph, path)
        calibrator = create_calibrator(
            path,
            op_types_to_calibrate=OPERATIONS,
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=_METHODS[method],
            extra_options=options,
        )
        with redirect_stdout(None):  # it prints
            calibrator.collect_data(_Reader(graph, faces))
            return calibrator.compute_data()
