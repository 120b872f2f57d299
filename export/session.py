"""An exported graph run by onnxruntime on this CPU."""

import numpy as np
import onnx
import onnxruntime


class Session:
    """Callable on uint8 RGB faces (B,H,W,3) of the graph's size, whichever pixels the graph takes.

    threads: intra-op threads.
    """

    def __init__(self, model: onnx.ModelProto, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0]

    def feed(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        """The graph's input for these faces."""
        if self._input.type == "tensor(uint8)":
            return {self._input.name: np.ascontiguousarray(faces)}
        return {self._input.name: np.ascontiguousarray(faces.transpose(0, 3, 1, 2), dtype=np.float32)}

    def run(self, feed: dict[str, np.ndarray]) -> np.ndarray:
        """float32 (B,D)."""
        rows: np.ndarray = self._session.run(None, feed)[0]
        return rows

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """float32 (B,D) of uint8 faces (B,H,W,3), in one call."""
        return self.run(self.feed(faces))
