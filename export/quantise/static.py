"""A float graph and ranges of its activations become a graph in int8, in QDQ form."""

from collections.abc import Sequence
from typing import Any

import onnx
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from export.graph import in_order
from export.quantise.layers import Layer, layers_of

OPERATIONS = ["Conv", "Gemm", "MatMul", "Add", "Mul", "Relu", "Clip", "MaxPool", "GlobalAveragePool"]
"""What runs in int8 in onnxruntime; everything else stays float."""


def quantised(graph: onnx.ModelProto, ranges: Any, floats: Sequence[Layer] = ()) -> onnx.ModelProto:
    """Weights int8, symmetric, one scale a channel; activations uint8, one scale a tensor.

    Args:
        graph: from `with_contract`, without PRelu; it is not changed.
        ranges: from `ranges_of` of this graph.
        floats: layers that stay float.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    stay = {name for layer in floats for name in layer}
    chosen = [name for layer in layers_of(graph) for name in layer if name not in stay]
    quantizer = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=chosen,
        nodes_to_exclude=sorted(stay),
        op_types_to_quantize=OPERATIONS,
        extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
    )
    quantizer.quantize_model()
    result = in_order(quantizer.model.model)
    used = {name for node in result.graph.node for name in node.input}
    kept = [tensor for tensor in result.graph.initializer if tensor.name in used]
    del result.graph.initializer[:]
    result.graph.initializer.extend(kept)
    return result
