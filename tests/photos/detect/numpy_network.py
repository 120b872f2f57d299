"""MTCNN's networks in NumPy, float64, straight from their graphs: slow, and nobody else's engine."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper


class NumpyNetwork:
    """Stands in for an onnxruntime session: `run(None, {input: array})`, all arithmetic in float64."""

    def __init__(self, path: Path) -> None:
        self.graph = onnx.load(path).graph
        self.weights = {one.name: numpy_helper.to_array(one).astype(np.float64) for one in self.graph.initializer}

    def get_inputs(self) -> list[onnx.ValueInfoProto]:
        return [one for one in self.graph.input if one.name not in self.weights]

    def run(self, _, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        values = self.weights | {name: array.astype(np.float64) for name, array in feed.items()}
        for node in self.graph.node:
            options = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            values[node.output[0]] = compute(node.op_type, [values[name] for name in node.input], options)
        return [values[one.name] for one in self.graph.output]


def compute(kind: str, inputs: list[np.ndarray], options: dict) -> np.ndarray:
    x = inputs[0]
    match kind:
        case "Transpose":
            return x.transpose(options["perm"])
        case "Flatten":
            return x.reshape(len(x), -1)
        case "MatMul":
            return x @ inputs[1]
        case "Add":
            return x + inputs[1]
        case "PRelu":
            return np.where(x > 0, x, x * inputs[1])
        case "Softmax":
            powers = np.exp(x - x.max(options["axis"], keepdims=True))
            return powers / powers.sum(options["axis"], keepdims=True)
        case "Conv":
            padded = pad(x, options, 0.0)
            windows = np.lib.stride_tricks.sliding_window_view(padded, options["kernel_shape"], (2, 3))
            return np.einsum("nchwij,ocij->nohw", windows, inputs[1], optimize=True) + inputs[2][:, None, None]
        case "MaxPool":
            windows = np.lib.stride_tricks.sliding_window_view(
                pad(x, options, -np.inf), options["kernel_shape"], (2, 3)
            )
            down, across = options["strides"]
            return windows[:, :, ::down, ::across].max((4, 5))
    raise NotImplementedError(kind)


def pad(x: np.ndarray, options: dict, value: float) -> np.ndarray:
    """As `auto_pad` says: SAME_UPPER makes ceil(side / stride) windows, the odd pixel at the end."""
    if options.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID"):
        first, last = np.array(options.get("pads", [0, 0, 0, 0])).reshape(2, 2)
    else:
        assert options["auto_pad"] == b"SAME_UPPER"
        sides, kernel, stride = (np.array(v) for v in (x.shape[2:], options["kernel_shape"], options["strides"]))
        missing = np.maximum((-(-sides // stride) - 1) * stride + kernel - sides, 0)
        first, last = missing // 2, missing - missing // 2
    widths = [(0, 0), (0, 0), *zip(first.tolist(), last.tolist(), strict=True)]
    return np.pad(x, widths, constant_values=value)
