"""Activations and affine maps of a channel rewritten as convolutions, which every runtime has fast and in int8.

onnxruntime's PRelu leaves the blocked layout of its convolutions and is in no int8 registry: a network with one behind
every convolution spends two thirds of its time there, and its int8 chain breaks at every activation. With
c = -|1 - a| and s = 1 where a <= 1, else -1,

    max(x, 0) + a min(x, 0)  =  x + s Relu(c x)

for every slope a; c x is a depthwise 1x1 convolution, whose weights int8 keeps exactly (one scale a channel). s is
another, and left out where no slope is above 1. So is a batch norm that no convolution has taken up: scale and shift.
Hard-swish, in no int8 registry either, is x clip(x / 6 + 1/2, 0, 1).
"""

from collections import defaultdict

import numpy as np
import onnx
from onnx import helper, numpy_helper

SLOPE, SIGN, RELU, SUM, AFFINE = "/slope", "/sign", "/relu", "/sum", "/affine"
CLIP, PRODUCT = "/clip", "/product"
"""Endings of the new nodes' names, behind the name of the tensor they give."""


def rewritten(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without PRelu of constant slopes, and without hard-swish and batch norms of feature maps; equal up to
    float32 rounding."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    shapes = _shapes(model)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        constant = all(name in weights for name in node.input[1:])
        if node.op_type == "PRelu" and constant:
            slopes = numpy_helper.to_array(weights[node.input[1]])
            nodes += _slope_nodes(graph, node.input[0], node.output[0], slopes.reshape(-1))
        elif node.op_type == "BatchNormalization" and constant and len(shapes[node.input[0]]) == 4:
            scale, shift, mean, variance = (numpy_helper.to_array(weights[name]) for name in node.input[1:])
            epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
            factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
            nodes.append(_scaled(graph, node.input[0], node.output[0], factor, AFFINE, shift - factor * mean))
        elif node.op_type == "HardSwish" and len(shapes[node.input[0]]) == 4:
            nodes += _swish_nodes(graph, node.input[0], node.output[0], shapes[node.input[0]][1])
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return copy


def _slope_nodes(graph: onnx.GraphProto, x: str, y: str, slopes: np.ndarray) -> list[onnx.NodeProto]:
    bent, above = f"{y}{RELU}", slopes > 1
    nodes = [
        _scaled(graph, x, f"{y}{SLOPE}", -np.abs(1 - slopes), SLOPE),
        helper.make_node("Relu", [f"{y}{SLOPE}"], [bent], name=f"{y}{RELU}"),
    ]
    if above.any():
        nodes.append(_scaled(graph, bent, f"{y}{SIGN}", np.where(above, -1, 1), SIGN))
        bent = f"{y}{SIGN}"
    return [*nodes, helper.make_node("Add", [x, bent], [y], name=f"{y}{SUM}")]


def _swish_nodes(graph: onnx.GraphProto, x: str, y: str, channels: int) -> list[onnx.NodeProto]:
    ends = [f"{y}{CLIP}.{end}" for end in (0, 1)]
    graph.initializer.extend(numpy_helper.from_array(np.array(end, np.float32), name) for end, name in enumerate(ends))
    return [
        _scaled(graph, x, f"{y}{SLOPE}", np.full(channels, 1 / 6), SLOPE, np.full(channels, 0.5)),
        helper.make_node("Clip", [f"{y}{SLOPE}", *ends], [f"{y}{CLIP}"], name=f"{y}{CLIP}"),
        helper.make_node("Mul", [x, f"{y}{CLIP}"], [y], name=f"{y}{PRODUCT}"),
    ]


def _scaled(
    graph: onnx.GraphProto, x: str, y: str, factor: np.ndarray, ending: str, shift: np.ndarray | None = None
) -> onnx.NodeProto:
    """y = factor * x + shift by channel, factor and shift (C,)."""
    name = y if y.endswith(ending) else f"{y}{ending}"
    inputs = [x, f"{name}.weight"]
    graph.initializer.append(numpy_helper.from_array(factor.astype(np.float32).reshape(-1, 1, 1, 1), inputs[1]))
    if shift is not None:
        inputs.append(f"{name}.bias")
        graph.initializer.append(numpy_helper.from_array(shift.astype(np.float32), inputs[2]))
    return helper.make_node("Conv", inputs, [y], name=name, group=len(factor), kernel_shape=[1, 1])


def _shapes(model: onnx.ModelProto) -> defaultdict[str, list[int]]:
    """Dimensions by tensor, 0 where one is free; empty where nothing is known."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.value_info, *inferred.input)
    known = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
    return defaultdict(list, known)
