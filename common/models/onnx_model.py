"""A face model in an ONNX file, run by onnxruntime.

InsightFace's and OpenCV's published files differ in input name, layout, and whether the batch is fixed at 1. Names and
layouts are read from the graph; a fixed batch is rewritten to a free one, and the result is compared with the original
before it is used, because one image a call wastes the machine (SFace: 42 against 26 faces/s on 2 cores).
"""

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from common.errors import ModelError

REWRITE_TOLERANCE = 1e-5
"""Largest deviation of the rewritten graph from the original, relative to the embedding's norm."""

EXPORTED = "face_teacher_cache"
"""Key in an ONNX file's metadata under which `export` keeps what the file wants to see, as JSON."""

_PIXELS = {
    onnx.TensorProto.FLOAT: np.float32,
    onnx.TensorProto.FLOAT16: np.float16,
    onnx.TensorProto.UINT8: np.uint8,
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Signature:
    """What a graph takes and gives: names, layout of the faces, their (height, width) and number if fixed.

    `dim` is the width of the embeddings where the graph states it.
    `scales` tells that the graph takes bytes or begins by subtracting or scaling, so it wants raw pixels 0 to 255.
    """

    input: str
    output: str
    layout: str
    size: tuple[int, int] | None
    batch: int | None
    dtype: type
    scales: bool
    dim: int | None


class OnnxNetwork:
    """Callable: normalised faces (B,H,W,3) float32 -> embeddings (B,D) float32.

    Args:
        path: the ONNX file.
        device: `cpu` or `cuda[:N]`.
        threads: intra-op threads; None leaves it to onnxruntime.

    Raises:
        ModelError: not an ONNX face model, or the device cannot be had.
    """

    def __init__(self, path: Path, device: str = "cpu", threads: int | None = None):
        graph = read_graph(path)
        self.signature = read_signature(graph, path)
        self.provider = _provider(device)
        self.fixed_batch: int | None = None
        self._session = _open(graph, path, self.provider, threads)
        if self.signature.batch is not None:
            self._free_batch(graph, self.signature.batch, path, threads)
        self.size = self.signature.size
        height, width = self.size or (112, 112)
        self.dim = self(np.zeros((1, height, width, 3), np.float32)).shape[1]

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        if self.fixed_batch is None:
            return self._run(self._session, faces)
        return self._run_in_batches(self._session, faces, self.fixed_batch)

    def _run_in_batches(self, session: onnxruntime.InferenceSession, faces: np.ndarray, batch: int) -> np.ndarray:
        padded = np.resize(faces, (-(-len(faces) // batch) * batch, *faces.shape[1:]))
        chunks = [self._run(session, padded[at : at + batch]) for at in range(0, len(padded), batch)]
        return np.concatenate(chunks)[: len(faces)]

    def _run(self, session: onnxruntime.InferenceSession, faces: np.ndarray) -> np.ndarray:
        pixels = faces.transpose(0, 3, 1, 2) if self.signature.layout == "NCHW" else faces
        pixels = np.ascontiguousarray(pixels, dtype=self.signature.dtype)
        (embeddings,) = session.run([self.signature.output], {self.signature.input: pixels})
        rows: np.ndarray = embeddings.reshape(len(faces), -1)
        return rows.astype(np.float32, copy=False)

    def _free_batch(self, graph: onnx.ModelProto, batch: int, path: Path, threads: int | None) -> None:
        """Use the graph with a free batch if it gives what the original gives, else keep to batches of `batch`."""
        height, width = self.signature.size or (112, 112)
        faces = np.random.default_rng(0).integers(0, 256, (max(4, batch), height, width, 3)).astype(np.float32)
        want = self._run_in_batches(self._session, faces, batch)
        try:
            freed = _open(free_batch(graph), path, self.provider, threads)
            deviation = relative_deviation(self._run(freed, faces), want)
        except Exception as error:
            if not (isinstance(error, ModelError) or _is_onnxruntime_error(error)):
                raise
            deviation = np.inf
        if deviation <= REWRITE_TOLERANCE:
            self._session = freed
        else:
            _log.warning("%s: no free batch without changing its result; runs %d face(s) a call", path, batch)
            self.fixed_batch = batch


def read_graph(path: Path) -> onnx.ModelProto:
    """The parsed file. Raises ModelError if it is missing or no valid ONNX model."""
    try:
        graph = onnx.load(path)
        onnx.checker.check_model(graph)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such file") from error
    except Exception as error:  # protobuf and onnx raise several unrelated types
        raise ModelError(f"{path}: not a valid ONNX model ({_first_line(error)}): copy or export it again") from error
    return graph


def read_signature(model: onnx.ModelProto, path: Path) -> Signature:
    """Find the one image input and the one embedding output.

    Raises:
        ModelError: the graph has none or several of either, or takes something that is no three-channel image.
    """
    initialised = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initialised]
    if len(inputs) != 1:
        raise ModelError(f"{path}: a face model has one input, this has {[value.name for value in inputs]}")
    tensor = inputs[0].type.tensor_type
    shape = _shape(inputs[0])
    if len(shape) != 4 or tensor.elem_type not in _PIXELS:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise ModelError(f"{path}: input {inputs[0].name} should be a float or uint8 image batch, it is {kind} {shape}")
    if shape[1] == 3:
        layout, size = "NCHW", shape[2:]
    elif shape[3] == 3:
        layout, size = "NHWC", shape[1:3]
    else:
        raise ModelError(f"{path}: input {inputs[0].name} {shape} has no axis of three channels")
    # AdaFace exports also give the norm, (B,1): never the embedding.
    outputs = [value for value in model.graph.output if _shape(value)[1:2] != [1]]
    if len(outputs) != 1:
        raise ModelError(f"{path}: a face model has one embedding output, this has {[v.name for v in outputs]}")
    height, width = size
    fixed = (height, width) if height is not None and width is not None else None
    dtype = _PIXELS[tensor.elem_type]
    first = (node.op_type for node in model.graph.node if inputs[0].name in node.input)
    scales = (
        dtype is np.uint8
        or any(operation in ("Sub", "Mul", "Div") for operation in first)
        or any(entry.key == EXPORTED for entry in model.metadata_props)
    )
    return Signature(inputs[0].name, outputs[0].name, layout, fixed, shape[0], dtype, scales, _width(outputs[0]))


def free_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose batch is free.

    Weights are also taken out of the graph's inputs, where files older than IR version 4 list them: as inputs they
    count as variable, and onnxruntime then folds no batch norm into its convolution.
    """
    free = onnx.ModelProto()
    free.CopyFrom(model)
    graph = free.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    del graph.value_info[:]  # shapes inferred for the old batch
    for value in (*graph.input, *graph.output):
        dimensions = value.type.tensor_type.shape.dim
        if len(dimensions) > 0:
            dimensions[0].dim_param = "batch"
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in weights:
            _free_reshape(weights[node.input[1]])
    free.ir_version = max(free.ir_version, 4)
    return free


def relative_deviation(values: np.ndarray, reference: np.ndarray) -> float:
    """Largest absolute difference of (B,D) arrays, relative to the smallest norm of a reference row."""
    return float(np.abs(values - reference).max() / np.linalg.norm(reference, axis=1).min())


def _free_reshape(target: onnx.TensorProto) -> None:
    """A leading 1 in a constant target shape becomes 0, which means "as the input has it"."""
    shape = onnx.numpy_helper.to_array(target).copy()
    if shape.size > 1 and shape[0] == 1:
        shape[0] = 0
        target.CopyFrom(onnx.numpy_helper.from_array(shape, target.name))


def _width(output: onnx.ValueInfoProto) -> int | None:
    """Numbers of one face in an output (B,...), None where a dimension is free."""
    known = [dim for dim in _shape(output)[1:] if dim is not None]
    return math.prod(known) if known and len(known) == len(_shape(output)) - 1 else None


def _shape(value: onnx.ValueInfoProto) -> list[int | None]:
    """Dimensions; None where the file leaves one free."""
    return [dim.dim_value if dim.dim_value > 0 else None for dim in value.type.tensor_type.shape.dim]


def _provider(device: str) -> tuple[str, dict[str, str]]:
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return "CPUExecutionProvider", {}
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise ModelError(
            f"device {device}: this onnxruntime cannot use it; install onnxruntime-gpu, or choose device cpu"
        )
    return "CUDAExecutionProvider", {"device_id": index or "0"}


def _open(
    model: onnx.ModelProto, path: Path, provider: tuple[str, dict[str, str]], threads: int | None
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[provider])
    except Exception as error:
        if not _is_onnxruntime_error(error):
            raise
        raise ModelError(f"{path}: onnxruntime cannot run it ({_first_line(error)})") from error
    if session.get_providers()[0] != provider[0]:
        raise ModelError(f"{path}: onnxruntime fell back to {session.get_providers()[0]}; check its CUDA libraries")
    return session


def _is_onnxruntime_error(error: Exception) -> bool:
    # onnxruntime's exceptions come from a C++ module and share no base class of their own.
    return type(error).__module__.startswith("onnxruntime")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
