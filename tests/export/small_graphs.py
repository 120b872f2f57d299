"""Graphs of a few nodes with constant weights, for tests of what is done to graphs."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def graph(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], channels: int, outputs: list) -> onnx.ModelProto:
    """From `normalised` (B,channels,8,8) to `raw` (B,*outputs), in operator set 18."""
    made = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("normalised", TensorProto.FLOAT, ["batch", channels, 8, 8])],
        [helper.make_tensor_value_info("raw", TensorProto.FLOAT, ["batch", *outputs])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model
