"""A graph in fewer bytes: the same nodes and numbers, with names of one or two letters and each constant once.

A small int8 network's file is names and zeros before it is weights: quantisation puts two nodes and four constants with
long names around every tensor, and a zero point, which symmetric weights do not have, for every channel.
"""

import itertools
from collections.abc import Iterator
from string import ascii_letters

import onnx
from onnx import numpy_helper


def compacted(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that computes the same; names of inputs and outputs stay."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    _drop_zero_points(graph)
    _keep_each_constant_once(graph)
    kept = {"", *(value.name for value in (*graph.input, *graph.output))}
    names: dict[str, str] = {name: name for name in kept}
    fresh = (name for name in _short_names() if name not in kept)
    for node in graph.node:
        node.ClearField("name")
        node.ClearField("doc_string")
        node.input[:] = [names.get(name) or names.setdefault(name, next(fresh)) for name in node.input]
        node.output[:] = [names.get(name) or names.setdefault(name, next(fresh)) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    del graph.value_info[:]
    onnx.checker.check_model(copy, full_check=True)
    return copy


def _drop_zero_points(graph: onnx.GraphProto) -> None:
    """Of the weights and biases of convolutions: where there is none, it is 0. onnxruntime's Gemm wants to see it."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    convolved = {name for node in graph.node if node.op_type == "Conv" for name in node.input}
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or len(node.input) < 3:
            continue
        constant = node.input[0] in constants and node.output[0] in convolved
        if constant and not numpy_helper.to_array(constants[node.input[2]]).any():
            del node.input[2:]


def _keep_each_constant_once(graph: onnx.GraphProto) -> None:
    """Equal constants become one, and those that no node reads go."""
    first: dict[tuple[object, ...], str] = {}
    same = {}
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        same[tensor.name] = first.setdefault((array.dtype, array.shape, array.tobytes()), tensor.name)
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _short_names() -> Iterator[str]:
    for length in itertools.count(1):
        yield from map("".join, itertools.product(ascii_letters, repeat=length))
